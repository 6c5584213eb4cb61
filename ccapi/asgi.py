"""The ASGI application: chat routes on their consumer, everything else in Django.

Chat routes are looked up in a dictionary before Django sees the request: its handler alone costs a
millisecond, and no stream should hold one of its threads.
"""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ccapi.settings")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from gateway.api import ROUTES, ChatConsumer, shutdown, startup  # noqa: E402  (needs Django set up)
from gateway.outlet import Receive, Send  # noqa: E402

SHUTDOWN_S = 25.0


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """ASGI 3."""
    if scope["type"] == "http":
        route = ROUTES.get(scope["path"])
        if route is not None:
            await ChatConsumer(route)(scope, receive, send)
        else:
            await _django(scope, receive, send)
    elif scope["type"] == "lifespan":
        await _lifespan(receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await startup()
            await send({"type": "lifespan.startup.complete"})
        else:
            await shutdown(SHUTDOWN_S)
            await send({"type": "lifespan.shutdown.complete"})
            return
