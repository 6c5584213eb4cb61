"""`manage.py test` from outside: what it hands on and what it leaves behind."""

import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.devserver import product

INNER = """
import os, time
import psycopg, redis

def test_inner():
    psycopg.connect(os.environ["DATABASE_URL"]).close()
    redis.Redis.from_url(os.environ["REDIS_URL"]).ping()
    print("CONNECTED " + os.environ["DATABASE_URL"], flush=True)
    {end}
"""

WAITING = """
import time

def test_quick():
    pass

def test_long():
    time.sleep(100)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ccapi-inner-") as made:
        yield Path(made)


def inner(folder: Path, end: str) -> list[str]:
    """The arguments that run one small test outside the tree, with its output seen."""
    file = folder / "test_inner.py"
    file.write_text(INNER.format(end=end))
    return ["test", "-s", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(file)]


@pytest.mark.parametrize(("end", "code"), [("pass", 0), ("assert False", 1)])
def test_the_exit_code_and_the_arguments_are_those_of_pytest(
    folder: Path, end: str, code: int
) -> None:
    result = product.manage(*inner(folder, end), data=folder)

    assert result.returncode == code, result.stderr
    assert "CONNECTED postgresql://" in result.stdout
    assert re.search(r"1 (passed|failed)", result.stdout)


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_nothing_is_left_when_it_is_ended_in_the_middle(
    folder: Path, how: signal.Signals, code: int
) -> None:
    with product.running(*inner(folder, "time.sleep(100)"), data=folder) as command:
        url = command.wait_for(r"CONNECTED \S+")
        databases = Path(url.split("host=")[1].split("&")[0]).parent
        family = command.family()
        existed = databases.exists()

        ended_with = command.end(how)
        left = product.wait_until_gone(family)

    assert existed
    assert len(family) >= 4  # itself, pytest, PostgreSQL, Valkey
    assert ended_with == code
    assert not left
    assert not databases.exists()


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_workers_end_with_it(folder: Path, how: signal.Signals, code: int) -> None:
    for name in ("test_one.py", "test_other.py"):
        (folder / name).write_text(WAITING)
    options = ("-v", "-n", "2", "-p", "tests.conftest", "-p", "no:cacheprovider")

    with product.running(
        "test", *options, "--rootdir", str(folder), str(folder), data=folder
    ) as command:
        command.wait_for(r"(?s)PASSED.*PASSED")
        family = command.family()
        ended_with = command.end(how)
        left = product.wait_until_gone(family)

    assert len(family) >= 6  # itself, pytest, two workers, PostgreSQL, Valkey
    assert ended_with == code
    assert not left
