"""`manage.py bench`, in short: sane figures, and nothing left behind."""

import json

import pytest

from tests.devserver import product


@pytest.mark.xdist_group("alone")
def test_the_figures_are_sane_and_nothing_is_left() -> None:
    with product.data_folder() as folder:
        benching = product.running(
            *("bench", "--seconds", "0.5", "--runs", "1", "--json"),
            data=folder,
            TMPDIR=str(folder),
        )
        with benching as command:
            told = json.loads(command.wait_for(r"\{.*\}(?=\n)", timeout_s=100))
            family = command.family()
            code = command.process.wait(10)

        assert not product.wait_until_gone(family)
        assert not list(folder.iterdir())
    assert code == 0
    assert told["targets"] == ["CCAPI"]
    assert told["failed"] == {"CCAPI": 0}
    medians = {label: by_target["CCAPI"]["median"] for label, by_target in told["measured"].items()}
    # Wide enough for a busy machine, narrow enough to notice a figure that is not what it says.
    assert 0.05 < medians["JSON: CPU, ms a request"] < 10
    assert 0.05 < medians["one-chunk stream: CPU, ms"] < 10
    assert 10 < medians["paced streams: CPU, µs an event"] < 1000
    assert 1000 < medians["paced streams: events a second"] < 12_000
    assert 50 < medians["memory after that, MB"] < 400
    assert 0 < medians["one connection: added to p50, ms"] < 100
    assert 0 < medians["JSON: PostgreSQL's CPU, ms a request"] < 10
    assert told["goals"]["JSON: CPU, ms a request"] == 0.15
