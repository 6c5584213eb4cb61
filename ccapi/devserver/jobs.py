"""The workers and the beat of `serve`: Celery's own commands, as production runs them."""

import subprocess
import sys
from collections.abc import Callable, Mapping

from ccapi.devserver import processes
from ccapi.devserver.bootstrap import ROOT
from ccapi.devserver.servers import Servers
from ccapi.devserver.service import Service

CELERY = (sys.executable, "-m", "celery", "-A", "ccapi.celery", "--quiet")
# One worker has nobody to gossip with, nor to catch up on.
ALONE = ("--without-gossip", "--without-mingle", "--without-heartbeat")
WORKER = ("worker", "--pool", "prefork", *ALONE)
# Threads: six processes would be six times the memory, for work that is mostly waiting.
QUICK = ("worker", "--pool", "threads", "--concurrency", "6", *ALONE)
# A performance that is cut off is repeated by the next worker, when its lease has ended.
WORKER_GRACE_S = 20.0


def services(servers: Servers) -> list[Service]:
    """In the order in which they are started; they end after the web processes, all at a time."""
    quick = quick_queue(servers.environment)
    return [
        Service("beat", lambda: _spawn(servers, "beat"), group="jobs"),
        _worker("quick worker", lambda: _spawn(servers, *QUICK, "-Q", quick)),
        _worker("worker", lambda: _spawn(servers, *WORKER)),
    ]


def quick_queue(environment: Mapping[str, str]) -> str:
    """As `media_jobs.queue` names it."""
    return f"{environment.get('CCAPI_QUEUE', 'ccapi')}-quick"


def _worker(name: str, launch: Callable[[], subprocess.Popen[bytes]]) -> Service:
    return Service(name, launch, grace_s=WORKER_GRACE_S, group="jobs")


def _spawn(servers: Servers, *arguments: str) -> subprocess.Popen[bytes]:
    return processes.spawn(
        [*CELERY, *arguments],
        environment=servers.environment,
        folder=ROOT,
        stdout=sys.stderr.fileno(),
        stderr=sys.stderr.fileno(),
    )
