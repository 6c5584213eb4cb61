"""`manage.py prove` as a person runs it: real processes, and nothing left of them."""

import json
import os
import signal
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from gateway.management.commands import prove
from gateway.proofs import crash, failover, overdraft
from gateway.proofs.stage import Stage
from gateway.proofs.verdict import Verdict
from tests.devserver import product


def lie(stage: Stage) -> Verdict:
    """Half of the answer is left out and the end says that all is well: no gateway can notice."""
    return failover.prove(msgspec.structs.replace(stage, seconds=0.5), how={"lie": 1.0})


LYING = SimpleNamespace(credits_needed=failover.credits_needed, prove=lie)
STARTED = ("postgres", "valkey", "gateway.proofs.outside")  # before any web process


def test_all_proofs_hold_but_of_a_provider_that_lies_and_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # One product for all four, since its start is most of what this takes.
    proofs = {"overdraft": overdraft, "failover": failover, "lie": LYING, "crash": crash}
    monkeypatch.setattr(prove, "PROOFS", proofs)
    for proof in (overdraft, failover, crash):
        monkeypatch.setattr(proof, "WEBS", 2)

    before = product.descendants(os.getpid())
    with product.data_folder() as folder:
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        with pytest.raises(SystemExit) as ended:
            call_command("prove", "all", "--seconds", "2.5", "--json")
        left = product.descendants(os.getpid(), besides=before)

        assert not product.wait_until_gone(left)
        assert not list(folder.iterdir())
    told = dict(zip(proofs, json.loads(capsys.readouterr().out)["proofs"], strict=True))
    assert {name: proof["holds"] for name, proof in told.items()} == {
        "overdraft": True,
        "failover": True,
        "lie": False,
        "crash": True,
    }, [proof["faults"] for proof in told.values()]
    assert ended.value.code == 1
    assert "it looked complete, and part of the text is missing" in " ".join(told["lie"]["faults"])
    assert told["overdraft"]["figures"]["served"] == 37
    assert told["overdraft"]["figures"]["refused with 402"] == 463
    assert told["crash"]["figures"]["web processes killed"] > 0
    assert told["crash"]["figures"]["charged"] > 0
    assert told["failover"]["figures"]["attempts that failed"] > 50
    assert told["failover"]["figures"]["answered completely"] > 50


@pytest.mark.parametrize(("faults", "code"), [([], 0), (["this"], 1)])
def test_the_exit_code_says_whether_all_claims_held(faults: list[str], code: int) -> None:
    held = Verdict(name="x", claim="c.", done="d.", figures={}, faults=[], closing="Well.")

    assert prove.exit_code([held, msgspec.structs.replace(held, faults=faults)]) == code


def test_a_signal_ends_a_proof_and_everything_that_it_started() -> None:
    with product.data_folder() as folder:
        proving = product.running("prove", "crash", data=folder, TMPDIR=str(folder))
        with proving as command:
            family = _grown(command)
            code = command.end(signal.SIGTERM)

        assert code == 128 + signal.SIGTERM
        assert not product.wait_until_gone(family)
        assert not list(folder.iterdir())


def _grown(command: product.Running) -> set[int]:
    """Its processes, once all kinds have been started."""
    deadline = time.monotonic() + product.READY_S
    while True:
        family = command.family()
        commands = " ".join(product.alive(family).values())
        if all(name in commands for name in STARTED):
            return family
        assert time.monotonic() < deadline, f"only these were started: {commands}"
        time.sleep(0.02)


@pytest.mark.parametrize("command", [("prove", "all"), ("bench",)])
def test_in_production_nothing_is_started(
    command: tuple[str, ...], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PRODUCTION = True
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with pytest.raises(CommandError, match="CCAPI_ENV is production"):
        call_command(*command)

    assert not list(tmp_path.iterdir())
