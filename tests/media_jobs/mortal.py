"""Celery's own command, with points in a job's life at which the process may be killed.

`python -m tests.media_jobs.mortal -A ccapi.celery worker …`: as `python -m celery`. Where there is
a mark for a point (a file in CCAPI_TEST_MARKS), the process that comes there takes it away and
kills itself, as an out-of-memory killer would; so each mark is one death.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Found = TypeVar("Found")

POINTS = (
    *("before_claim", "after_claim", "in_the_call", "after_the_call", "in_the_end"),
    *("before_the_commit", "after_the_end"),
)


def may_die(point: str) -> None:
    for mark in sorted(Path(os.environ["CCAPI_TEST_MARKS"]).glob(f"{point}.*")):
        with suppress(FileNotFoundError):
            mark.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def _before(point: str, function: Callable[Given, Found]) -> Callable[Given, Found]:
    @functools.wraps(function)
    def dying(*arguments: Given.args, **named: Given.kwargs) -> Found:
        may_die(point)
        return function(*arguments, **named)

    return dying


def _after(point: str, function: Callable[Given, Found]) -> Callable[Given, Found]:
    @functools.wraps(function)
    def dying(*arguments: Given.args, **named: Given.kwargs) -> Found:
        found = function(*arguments, **named)
        may_die(point)
        return found

    return dying


def install() -> None:
    """Put the points where they are, in a process in which Django is set up."""
    from billing.api import settle_hold
    from media_jobs import endings, leases, performing, places, sealed
    from media_jobs.webhooks import outbox

    leases.claim = _before("before_claim", _after("after_claim", leases.claim))
    sealed.read = _after("in_the_call", sealed.read)
    places.take = _after("in_its_place", places.take)
    endings.complete = _before("after_the_call", endings.complete)
    settle = _before("in_the_end", _after("before_the_commit", settle_hold))
    endings.settle_hold = settle  # type: ignore[attr-defined]  # where the end of a job finds it
    outbox.close = _before("after_the_post", outbox.close)
    performing.perform = _after("after_the_end", performing.perform)


def main() -> None:
    import ccapi.celery  # noqa: F401  (sets Django up)

    install()
    from celery.__main__ import main as celery

    sys.argv[0] = "celery"
    celery()


if __name__ == "__main__":
    main()
