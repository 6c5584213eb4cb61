"""The workers and their clock: `celery -A ccapi.celery worker` and `… beat`.

One worker makes calls, in processes; one, of the quick queue, does what is quick in threads of one
process: `… worker --pool threads --concurrency 6 -Q ccapi-quick` (`media_jobs.queue`).
What the tasks do is `media_jobs.tasks`, how they are sent `media_jobs.queue`. Here is what a
process of a worker begins with and ends with, and what is done when. Two beats do no harm: what
they ask for happens under locks.
"""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ccapi.settings")

import django

django.setup()

import ctypes  # noqa: E402  (Django is set up first, for all that follow)
import gc  # noqa: E402
import logging  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import warnings  # noqa: E402

from celery.concurrency.thread import TaskPool as Threads  # noqa: E402
from celery.platforms import SecurityWarning  # type: ignore[attr-defined]  # noqa: E402  (not in its stubs)
from celery.signals import (  # noqa: E402
    setup_logging,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
)
from django.conf import settings  # noqa: E402

from ccapi.core import metrics  # noqa: E402
from ccapi.core.logs import setup  # noqa: E402
from media_jobs import runner, tasks  # noqa: E402
from media_jobs.queue import DELIVER, SWEEP, TIDY, app  # noqa: E402

__all__ = ["app", "tasks"]

# It warns of pickle under root; we take JSON alone.
warnings.filterwarnings("ignore", category=SecurityWarning)

# Of these only what is wrong is worth a line: a job's own line says the rest.
QUIET = ("celery.worker.strategy", "celery.worker.request", "celery.app.trace", "celery.beat")
LOADED_BY = os.getpid()  # the worker: of the processes that it forks, the parent
TIDY_S = 300.0
WEBHOOKS_S = 5.0

# Each is done by whichever worker is free, and forgotten where none was before the next one came.
app.conf.beat_schedule = {
    task: {"task": task, "schedule": every_s, "options": {"expires": max(2.0, every_s)}}
    for task, every_s in {
        SWEEP: settings.CCAPI_JOB_SWEEP_S,
        DELIVER: WEBHOOKS_S,
        TIDY: TIDY_S,
    }.items()
}


@setup_logging.connect
def _logs(**_given: object) -> None:
    """Ours; a receiver keeps Celery from setting up its own."""
    setup()
    for name in (*QUIET, "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)


@worker_init.connect
def _freeze(**_given: object) -> None:
    # What is loaded by now stays, and is shared with the processes that are forked. Done after the
    # first fork it would be too late: measured with four, 340 MB together instead of 165.
    gc.collect()
    gc.freeze()


@worker_ready.connect
def _ready(sender: object, **_given: object) -> None:
    if _has_threads(sender):
        _live()


@worker_process_init.connect
def _begin(**_given: object) -> None:
    if sys.platform == "linux":
        # A worker that is killed leaves no process behind: its work is somebody else's by then.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
        if os.getppid() != LOADED_BY:
            os._exit(1)  # it had been killed before
    _live()


@worker_process_shutdown.connect
def _end(**_given: object) -> None:
    _die()


@worker_shutdown.connect
def _end_threads(sender: object, **_given: object) -> None:
    # Where tasks had processes of their own, these have ended by themselves.
    if _has_threads(sender):
        _die()


def _has_threads(sender: object) -> bool:
    """Whether tasks run in this process itself. `sender` is a worker or its consumer."""
    return isinstance(getattr(sender, "pool", None), Threads)


def _live() -> None:
    metrics.start("worker")
    runner.run(runner.begin())


def _die() -> None:
    runner.close()
    metrics.stop()
