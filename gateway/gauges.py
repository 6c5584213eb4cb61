"""What is under way on this event loop, looked at once a second for the metrics."""

import time

from ccapi.core import metrics
from ccapi.core.money import NANO_PER_USD
from gateway import walks
from gateway.routing import board
from gateway.routing.breakers import State

OPENNESS: dict[State, float] = {"closed": 0, "half_open": 1, "probing": 1, "open": 2}

_told: set[tuple[str, str, str]] = set()  # breakers that have a gauge


def sample() -> None:
    """For `ccapi.core.metrics.sampler`."""
    sample_walks()
    sample_breakers()


def sample_breakers() -> None:
    """What is out of service; what no longer is goes back to 0."""
    worst = dict.fromkeys(_told, 0.0)
    for each in board.states():
        # A scope's name ends with a key's fingerprint, which is nobody's business here.
        labels = (each.provider, each.model, each.scope.partition(":")[0])
        worst[labels] = max(worst.get(labels, 0.0), OPENNESS[each.state])
    for labels, openness in worst.items():
        metrics.BREAKERS.set(openness, labels)
    _told.update(worst)


def sample_walks() -> None:
    """Requests, drains, what is held for them, and the oldest."""
    here = walks.current()
    now = time.monotonic()
    streams, held, oldest = 0, 0, 0.0
    for walk in here.running:
        exchange = walk.exchange
        streams += exchange.request.stream
        held += exchange.hold.amount
        oldest = max(oldest, now - exchange.started)
    metrics.REQUESTS_OPEN.set(streams, ("stream",))
    metrics.REQUESTS_OPEN.set(len(here.running) - streams, ("whole",))
    metrics.REQUESTS_OPEN.set(here.drains, ("drain",))
    metrics.HELD.set(held / NANO_PER_USD)
    metrics.OLDEST_OPEN.set(oldest)
