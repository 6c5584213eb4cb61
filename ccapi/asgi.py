"""The ASGI application: a guard around chat routes on their consumer, free ones, and Django.

Chat routes are found before Django sees the request: its handler alone costs a millisecond, and no
stream should hold one of its threads.
"""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ccapi.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from ccapi import health  # noqa: E402  (needs Django set up, as do the next ones)
from ccapi.core import ids  # noqa: E402
from ccapi.core.errors import GatewayError  # noqa: E402
from ccapi.core.lane import Receive, Send  # noqa: E402
from ccapi.guard.app import Guard, Rules  # noqa: E402
from ccapi.lifespan import lifespan  # noqa: E402
from gateway.api import ChatConsumer, find, find_free, refusal, serve_free  # noqa: E402
from media_jobs import app as images  # noqa: E402
from media_jobs.routes import find as find_images  # noqa: E402


async def router(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Who answers; reached through the guard alone."""
    if scope["type"] == "http":
        route = find(scope["path"])
        if route is not None:
            await ChatConsumer(route)(scope, receive, send)
        elif (endpoint := health.ENDPOINTS.get(scope["path"])) is not None:
            await endpoint(scope, send)
        elif (free := find_free(scope["path"], scope["headers"])) is not None:
            await serve_free(free, scope, receive, send)
        elif (image := find_images(scope["path"])) is not None:
            await images.serve(image, scope, receive, send)
        else:
            await _django(scope, receive, send)
    elif scope["type"] == "lifespan":
        await lifespan(receive, send)


def _body_bytes_max(path: str) -> int:
    # Prompts that are only counted are as long as those that are answered.
    if find(path) or ((free := find_free(path)) is not None and "POST" in free.methods):
        return settings.CCAPI_BODY_BYTES_MAX
    if (image := find_images(path)) is not None and image.is_billed:
        return settings.CCAPI_BODY_BYTES_MAX
    return settings.CCAPI_REST_BODY_BYTES_MAX


def _render(path: str, error: GatewayError) -> tuple[int, dict[str, str], bytes] | None:
    """The guard's refusal in the protocol of a chat route, or of a free one; images have ours."""
    if find_images(path) is not None:
        return images.refusal(error)
    route = find(path) or find_free(path)
    return None if route is None else refusal(route.codec, ids.uuid7(), error)


application = Guard(
    router,
    Rules(
        hosts=settings.CCAPI_ALLOWED_HOSTS,
        body_bytes_max=_body_bytes_max,
        trusted_proxies=settings.CCAPI_TRUSTED_PROXIES,
        cors_origins=settings.CCAPI_CORS_ORIGINS,
    ),
    render=_render,
)
