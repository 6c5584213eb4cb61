"""The gateway's door: what composition (`ccapi.asgi`, `ccapi.lifespan`) needs of the walk."""

import asyncio
import gc

from ccapi.core import alerts, metrics, tracing
from ccapi.core.metrics import sampler
from gateway import gauges, ports, tokens, walks
from gateway.consumers import ChatConsumer
from gateway.ends import LAST_EVENT_S
from gateway.free.app import serve as serve_free
from gateway.free.routes import find as find_free
from gateway.incoming import refusal
from gateway.protocols.base import Codec
from gateway.routes import ROUTES, Route, find
from gateway.routing import board
from gateway.sandbox.media_scenarios import TABLES as MEDIA_SCENARIOS
from gateway.sandbox.scenarios import SCENARIOS
from gateway.tokens import COUNT_S_MAX
from gateway.transport import client

GC_YOUNG_MAX = 20_000  # objects made before the collector looks at the young ones
# And how often it looks at the old ones, which are few: a few milliseconds. Left to itself it waits
# for two million objects, and the process grows meanwhile (11 to 37 MB in an hour of faults).
GC_OLD_S = 30.0
# What a walk that is ended may take to close its books: its last event, and counting its tokens.
CLOSING_S = LAST_EVENT_S + COUNT_S_MAX
ALERTS_S = 5.0  # what is not told by then is in the log
SETTLE_S = 10.0  # what is not settled by then is on disk

__all__ = [
    "MEDIA_SCENARIOS",
    "ROUTES",
    "SCENARIOS",
    "ChatConsumer",
    "Codec",
    "Route",
    "end_walks_within",
    "find",
    "find_free",
    "offers_out",
    "refusal",
    "serve_free",
    "shutdown",
    "startup",
]


async def startup() -> None:
    """Begin the background work of this process (heartbeats, sweeper, spool)."""
    # What is loaded by now stays: the collector need not look at it again. And a request makes a
    # few hundred objects that go by themselves, so it need not look after every 700 either.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_YOUNG_MAX)
    _collect_again(asyncio.get_running_loop())
    ports.start_background()
    board.current()  # hears from the other processes what is out of service
    metrics.start("web")
    sampler.register(gauges.sample)
    sampler.start()
    tracing.start()


def _collect_again(loop: asyncio.AbstractEventLoop) -> None:
    gc.collect()
    loop.call_later(GC_OLD_S, _collect_again, loop)


def offers_out() -> int:
    """How many offers, keys and providers are out of service just now, as this process knows."""
    return len(board.states())


def end_walks_within(seconds: float) -> None:
    """Let answers go on for so long, then end them, each with its protocol's error event."""
    walks.current().end_within(seconds)


async def shutdown(timeout_s: float) -> None:
    """Wait until the walks have ended (in `timeout_s` seconds at most) and are settled; close."""
    await walks.current().wait(timeout_s + CLOSING_S)
    await ports.drain(SETTLE_S)
    ports.close_limits()
    board.close()
    await client.close()
    tokens.close()
    sampler.stop()
    await asyncio.to_thread(metrics.stop)
    await asyncio.to_thread(alerts.flush, ALERTS_S)
    await asyncio.to_thread(tracing.stop)
