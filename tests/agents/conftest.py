"""The room in which agents run, where they are installed and the kernel gives us a network."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.agents.records import Order, Report

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = os.environ.get("CCAPI_AGENTS", "")
OURS = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")  # of the tests, not of the room
START_LINES_MAX = 100


class Room:
    """The process in its own network; `tests.agents.room` says what is in there."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self._process = subprocess.Popen(
            [*_unshared(), sys.executable, "-m", "tests.agents.room", str(programs)],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name not in OURS},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout
        self._lines = iter(self._process.stdout)
        for line, _ in zip(self._lines, range(START_LINES_MAX), strict=False):
            if line == b"ready\n":
                return
        self.close()
        pytest.fail("The room did not start.")

    def session(self, order: Order) -> Report:
        assert self._process.stdin
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(next(self._lines), type=Report)

    def close(self) -> None:
        """It takes down what it started once nobody orders any more."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _unshared() -> list[str]:
    """A command that starts another in a network of its own, as the user that we are."""
    if os.geteuid() == 0:
        return ["unshare", "--net"]
    return ["unshare", "--net", "--user", "--map-current-user", "--keep-caps"]


@pytest.fixture(scope="session")
def room() -> Iterator[Room]:
    if not INSTALLED:
        pytest.skip("CCAPI_AGENTS names no folder with agents, see docs/agents.md")
    programs = Path(INSTALLED).resolve() / "node_modules" / ".bin"
    if not programs.is_dir():
        pytest.fail(f"There is no {programs}: CCAPI_AGENTS is the folder of `npm install`.")
    alone = subprocess.run([*_unshared(), "true"], capture_output=True, text=True, check=False)
    if alone.returncode != 0:
        pytest.skip(f"No network namespace of our own here: {alone.stderr.strip()}")
    opened = Room(programs)
    yield opened
    opened.close()
