"""The gateway's door: what composition (`ccapi.asgi`) needs of the walk."""

import gc

from gateway import ports, tokens
from gateway.consumers import ChatConsumer, drain
from gateway.routes import ROUTES, Route
from gateway.transport import client

GC_YOUNG_MAX = 20_000  # objects made before the collector looks at the young ones

__all__ = ["ROUTES", "ChatConsumer", "Route", "shutdown", "startup"]


async def startup() -> None:
    """Begin the background work of this process (heartbeats, sweeper, spool)."""
    # What is loaded by now stays: the collector need not look at it again. And a request makes a
    # few hundred objects that go by themselves, so it need not look after every 700 either.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_YOUNG_MAX)
    ports.start_background()


async def shutdown(timeout_s: float) -> None:
    """Let streams end and settlements land.

    At most `timeout_s` seconds; then close what is open.
    """
    await drain(timeout_s)
    await ports.drain(timeout_s)
    await client.close()
    tokens.close()
