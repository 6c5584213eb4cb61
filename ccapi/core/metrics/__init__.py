"""The metrics: every one of them, with what it means. `start` puts them on their port.

One list, so that an operator reads it and no two are alike. Labels are catalog names, codes and
kinds; what is not in the catalog is `other`. Amounts of money here are floats of dollars, good
for graphs: the ledger has the truth. Times are seconds.
"""

import platform
from pathlib import Path

from django.conf import settings

from ccapi.core.metrics import port, sampler
from ccapi.core.metrics.families import Counter, Gauge, Histogram

OTHER = "other"  # what stands for a name that the catalog does not have

# From a hit in a cache to a reasoning model's minutes.
UPSTREAM_S = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 40, 80, 160, 320)
# Our own share is milliseconds; what is above a second is a fault.
OWN_S = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1)

# -- chat requests, counted once each when they end
REQUESTS = Counter(
    "ccapi_requests_total",
    "Chat requests that were admitted, by how they ended; status is the class told to the client.",
    ("protocol", "model", "provider", "outcome", "status"),
)
REFUSALS = Counter(
    "ccapi_refusals_total",
    "Requests refused before any provider was called (unauthorized, no money, limits, malformed).",
    ("code", "status"),
)
REQUEST_SECONDS = Histogram(
    "ccapi_request_seconds",
    "Admitted chat requests from their first byte to their end.",
    ("provider", "mode"),
    bounds=UPSTREAM_S,
)
FIRST_BYTE_SECONDS = Histogram(
    "ccapi_first_byte_seconds",
    "Chat requests until the first content went to the client.",
    ("provider", "mode"),
    bounds=UPSTREAM_S,
)
UPSTREAM_SECONDS = Histogram(
    "ccapi_upstream_wait_seconds",
    "What of that time we waited for providers (all attempts together).",
    ("provider", "mode"),
    bounds=UPSTREAM_S,
)
GATEWAY_SECONDS = Histogram(
    "ccapi_gateway_seconds",
    "What of that time was the gateway's own: everything but waiting for providers.",
    ("protocol", "mode"),
    bounds=OWN_S,
)
ATTEMPTS = Counter(
    "ccapi_attempts_total",
    "Calls of providers, by what came of them: ok or the code of an error.",
    ("provider", "kind"),
)
SKIPS = Counter(
    "ccapi_skips_total",
    "Candidates that were not called, being out of service or at our limit there, by the reason.",
    ("provider", "reason"),
)
TOKENS = Counter(
    "ccapi_tokens_total",
    "Tokens that were charged for; cached ones are part of input.",
    ("model", "provider", "direction"),
)
CHARGED = Counter("ccapi_charged_usd_total", "What customers paid.", ("model", "provider"))
OVERAGE = Counter("ccapi_overage_usd_total", "What charges were above their holds: ours to pay.")

# -- now
REQUESTS_OPEN = Gauge(
    "ccapi_requests_open", "Admitted chat requests under way: whole, stream or drain.", ("mode",)
)
HELD = Gauge("ccapi_held_usd", "Money held for the requests under way.")
OLDEST_OPEN = Gauge("ccapi_oldest_request_seconds", "Age of the oldest of them.", merge="max")
BREAKERS = Gauge(
    "ccapi_breaker_state",
    "Circuit breakers that have been open: 0 closed, 1 half open, 2 open; the worst of them and of"
    " the processes. part: provider, offer, key or offer_key; without a model it is all of them.",
    ("provider", "model", "part"),
    merge="max",
)

# -- the ledger
SETTLEMENTS_WAITING = Gauge("ccapi_settlements_waiting", "Settlements not yet in PostgreSQL.")
SETTLEMENT_AWAY = Gauge(
    "ccapi_settlement_away_seconds", "For how long none could be written.", merge="max"
)
SPOOL_FILES = Gauge(
    "ccapi_spool_files", "Files of settlements on disk, all processes'.", merge="max"
)
SPOOL_AGE = Gauge("ccapi_spool_oldest_seconds", "Age of the oldest of them.", merge="max")
SWEPT = Counter("ccapi_holds_expired_total", "Holds that nobody resolved, voided by the sweeper.")

# -- jobs
JOBS = Counter(
    "ccapi_jobs_total", "Image jobs that have ended, by how and at whom.", ("state", "provider")
)
JOB_SECONDS = Histogram(
    "ccapi_job_seconds",
    "Image jobs from their acceptance to their end.",
    ("state",),
    bounds=(0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1800),
)
JOBS_OPEN = Gauge("ccapi_jobs_open", "Image jobs that have not ended.", merge="max")
JOBS_WAIT = Gauge(
    "ccapi_jobs_wait_seconds",
    "For how long the first job that is due has been waiting for a worker.",
    merge="max",
)

WEBHOOKS = Counter(
    "ccapi_webhook_attempts_total", "POSTs to customers' URLs: delivered or failed.", ("outcome",)
)

CONFINED = Counter(
    "ccapi_confined_total",
    "Pictures and recordings that were decoded in a process of their own, by what came of it: done,"
    " refused, or ended: memory, time, died, failed.",
    ("work", "end"),
)

# -- the house
HTTP_REQUESTS = Counter(
    "ccapi_http_requests_total",
    "Requests that Django answered (REST, admin), by route.",
    ("route", "method", "status"),
)
HTTP_SECONDS = Histogram(
    "ccapi_http_seconds",
    "How long they took.",
    ("route",),
    bounds=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
AWAY = Gauge("ccapi_dependency_away", "How many processes find it away just now.", ("dependency",))
ALERTS = Counter("ccapi_alerts_total", "Alerts that were raised, repeats included.", ("kind",))
PROCESSES = Gauge("ccapi_processes", "Processes that count here.", ("kind",))
BUILD = Gauge("ccapi_build_info", "Always 1.", ("version", "python"), merge="max")


def start(kind: str) -> None:
    """Count for the others to see, and answer on the metrics port, unless that is turned off.

    `kind` of process: web, worker, beat. Safe to call again; a forked child calls it for itself.
    """
    PROCESSES.set(1, (kind,))
    BUILD.set(1, (settings.CCAPI_VERSION, platform.python_version()))
    if settings.CCAPI_METRICS_PORT:
        path = Path(settings.CCAPI_METRICS_DIR)
        port.serve(settings.CCAPI_METRICS_HOST, settings.CCAPI_METRICS_PORT, path)


def stop() -> None:
    """Leave the port to the other processes (at shutdown)."""
    port.stop()


__all__ = ["OTHER", "Counter", "Gauge", "Histogram", "sampler", "start", "stop"]
