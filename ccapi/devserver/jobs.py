"""The worker and the beat of `serve`: Celery's own commands, as production runs them."""

import subprocess
import sys

from ccapi.devserver import processes
from ccapi.devserver.bootstrap import ROOT
from ccapi.devserver.servers import Servers
from ccapi.devserver.service import Service

CELERY = (sys.executable, "-m", "celery", "-A", "ccapi.celery", "--quiet")
# One worker has nobody to gossip with, nor to catch up on.
ALONE = ("--without-gossip", "--without-mingle", "--without-heartbeat")
WORKER = ("worker", "--pool", "prefork", *ALONE)
# A performance that is cut off is repeated by the next worker, when its lease has ended.
WORKER_GRACE_S = 20.0


def services(servers: Servers) -> list[Service]:
    """In the order in which they are started; they end after the web processes."""
    return [
        Service("beat", lambda: _spawn(servers, "beat")),
        Service("worker", lambda: _spawn(servers, *WORKER), grace_s=WORKER_GRACE_S),
    ]


def _spawn(servers: Servers, *arguments: str) -> subprocess.Popen[bytes]:
    return processes.spawn(
        [*CELERY, *arguments],
        environment=servers.environment,
        folder=ROOT,
        stdout=sys.stderr.fileno(),
        stderr=sys.stderr.fileno(),
    )
