"""The gateway's door: what composition (`ccapi.asgi`) needs of the walk."""

from gateway import ports, tokens
from gateway.consumers import ChatConsumer, drain
from gateway.routes import ROUTES, Route
from gateway.transport import client

__all__ = ["ROUTES", "ChatConsumer", "Route", "shutdown", "startup"]


async def startup() -> None:
    """Begin the background work of this process (heartbeats, sweeper, spool)."""
    ports.start_background()


async def shutdown(timeout_s: float) -> None:
    """Let streams end and settlements land.

    At most `timeout_s` seconds; then close what is open.
    """
    await drain(timeout_s)
    await ports.drain(timeout_s)
    await client.close()
    tokens.close()
