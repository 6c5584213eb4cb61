"""The worker and its clock: `celery -A ccapi.celery worker` and `… beat`.

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

from celery.platforms import SecurityWarning  # type: ignore[attr-defined]  # noqa: E402  (not in its stubs)
from celery.signals import (  # noqa: E402
    setup_logging,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
)
from django.conf import settings  # noqa: E402

from ccapi.core import metrics  # noqa: E402
from ccapi.core.logs import setup  # noqa: E402
from media_jobs import runner, tasks  # noqa: E402
from media_jobs.queue import DELIVER, app  # noqa: E402

__all__ = ["app", "tasks"]

# It warns of pickle under root; we take JSON alone.
warnings.filterwarnings("ignore", category=SecurityWarning)

# Of these only what is wrong is worth a line: a job's own line says the rest.
QUIET = ("celery.worker.strategy", "celery.worker.request", "celery.app.trace", "celery.beat")
TIDY_S = 300.0
WEBHOOKS_S = 5.0

# Each is done by whichever worker is free, and forgotten where none was before the next one came.
app.conf.beat_schedule = {
    task: {"task": task, "schedule": every_s, "options": {"expires": max(2.0, every_s)}}
    for task, every_s in {
        "media_jobs.sweep": settings.CCAPI_JOB_SWEEP_S,
        DELIVER: WEBHOOKS_S,
        "media_jobs.tidy": TIDY_S,
    }.items()
}


@setup_logging.connect
def _logs(**_given: object) -> None:
    """Ours; a receiver keeps Celery from setting up its own."""
    setup()
    for name in (*QUIET, "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)


@worker_ready.connect
def _ready(**_given: object) -> None:
    # What is loaded by now stays, and is shared with the processes that are forked later.
    gc.collect()
    gc.freeze()


@worker_process_init.connect
def _begin(**_given: object) -> None:
    if sys.platform == "linux":
        # A worker that is killed leaves no process behind: its work is somebody else's by then.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
    metrics.start("worker")
    runner.run(runner.begin())


@worker_process_shutdown.connect
def _end(**_given: object) -> None:
    runner.close()
    metrics.stop()
