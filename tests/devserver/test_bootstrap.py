"""The environment that `manage.py` makes for itself, on copies of the tree."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccapi.devserver import bootstrap
from ccapi.devserver.lock import FILES
from tests.devserver.product import ROOT

BASE_PYTHON = bootstrap.PYTHON


@contextlib.contextmanager
def cloned() -> Iterator[Path]:
    """What a fresh clone holds, and the pinned uv, which saves its download and nothing else."""
    with tempfile.TemporaryDirectory(prefix="ccapi clone ") as folder:
        clone = Path(folder) / "ccapi"
        ours = shutil.ignore_patterns(
            ".venv", ".boot", ".data", ".git", ".*_cache", "__pycache__", "tests"
        )
        shutil.copytree(ROOT, clone, ignore=ours)
        if (ROOT / ".boot" / "uv").exists():
            shutil.copytree(ROOT / ".boot" / "uv", clone / ".boot" / "uv")
        yield clone


@pytest.fixture
def clone() -> Iterator[Path]:
    with cloned() as clone:
        yield clone


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A clone that has its environment, for the tests that leave it whole."""
    with cloned() as clone:
        assert run(clone, "version").returncode == 0
        yield clone


def run(
    clone: Path, *arguments: str, python: str = BASE_PYTHON, **more: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [python, str(clone / "manage.py"), *arguments],
        cwd="/",
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_a_fresh_clone_makes_its_environment_once_whatever_else_is_active(clone: Path) -> None:
    foreign = {
        "PYTHONPATH": "/nowhere",
        "VIRTUAL_ENV": "/somewhere/else",
        "PIP_TARGET": "/somewhere/else",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "UV_SYSTEM_PYTHON": "1",
        "PYTHONSAFEPATH": "1",
    }

    first = run(clone, "version", **foreign)
    second = run(clone, "version", **foreign)

    assert first.returncode == 0, first.stderr
    assert re.fullmatch(r"5\.2\.\d+\n", first.stdout)
    assert "Making the environment" in first.stderr
    assert (second.stdout, second.stderr) == (first.stdout, "")
    assert not (clone / ".data").exists()


def test_a_changed_lock_is_installed_and_what_it_no_longer_names_goes(made: Path) -> None:
    lock = made / "requirements" / "base.txt"
    whole = lock.read_text()
    package = "bpe_openai"  # nothing imports it at the start
    installed = next((made / ".venv" / "lib").glob("python*/site-packages"))

    before = list(installed.glob(f"{package}-*"))
    lock.write_text(re.sub(r"(?m)^bpe-openai==.*\n(?:[ ]+.*\n)*", "", whole))
    result = run(made, "version")
    after = list(installed.glob(f"{package}-*"))
    lock.write_text(whole)
    again = run(made, "version")

    assert result.returncode == again.returncode == 0, result.stderr + again.stderr
    assert before
    assert not after
    assert list(installed.glob(f"{package}-*")) == before


def test_an_interrupted_installation_begins_again(made: Path) -> None:
    (made / ".venv" / ".ccapi-stamp").unlink()

    result = run(made, "version")

    assert "Making the environment" in result.stderr
    assert result.returncode == 0


def test_a_package_with_a_wrong_hash_is_refused(clone: Path) -> None:
    lock = clone / "requirements" / "base.txt"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", lock.read_text()))

    result = run(clone, "version")

    assert result.returncode != 0
    assert "hash" in result.stderr.lower()
    assert not (clone / ".venv" / ".ccapi-stamp").exists()


def test_without_pip_and_ensurepip_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_succeeds", lambda command: False)

    with pytest.raises(bootstrap.CannotBootstrap, match="python3-pip, or python3-venv"):
        bootstrap._pip()


def older_python() -> str | None:
    for name in ("python3.10", "python3.9", "python3.8", "python3.7", "python3.6"):
        for found in (
            shutil.which(name),
            *map(str, Path.home().glob(f".pyenv/versions/*/bin/{name}")),
        ):
            if (
                found
                and subprocess.run([found, "-V"], capture_output=True, check=False).returncode == 0
            ):
                return found
    return None


def test_an_older_python_is_named_with_what_is_needed() -> None:
    python = older_python()
    if python is None:
        pytest.skip("there is no Python older than 3.11 here")

    result = subprocess.run(
        [python, "manage.py", "serve"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 1
    assert result.stderr.startswith("CCAPI needs Python 3.11 or newer; ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sets"),
    [
        (["test", "-x"], ["base", "embedded", "dev", "tracing", "local", "weights"]),
        (["serve"], ["base", "embedded", "local", "weights"]),
        (["serve", "--no-local-models"], ["base", "embedded"]),
        (["migrate"], ["base", "embedded"]),
        ([], ["base", "embedded"]),
    ],
)
def test_a_command_installs_only_what_it_needs(arguments: list[str], sets: list[str]) -> None:
    assert bootstrap.requirement_sets(arguments) == sets


def test_serve_installs_the_tracing_set_where_traces_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")

    with_traces = ["base", "embedded", "tracing"]
    assert bootstrap.requirement_sets(["serve", "--no-local-models"]) == with_traces
    assert bootstrap.requirement_sets(["audit"]) == ["base", "embedded"]


def test_every_lock_is_pinned_with_hashes_and_names_no_address() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))

    assert [lock.stem for lock in locks] == sorted(FILES)
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text
        pins = re.findall(r"(?m)^[a-z0-9].*$", text)
        assert pins
        assert all(re.match(r"[a-z0-9._-]+==[^ ]+ (; .* )?\\$", pin) for pin in pins)


def test_production_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCAPI_ENV", "production")
    monkeypatch.setattr(bootstrap, "make", lambda wanted: pytest.fail("it installs"))
    monkeypatch.setattr(sys, "prefix", "/usr")

    bootstrap.enter(["migrate"])
