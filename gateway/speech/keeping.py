"""Who keeps recordings for those who want a link: an app above this one, which registers itself.

Nothing here keeps anything. Until somebody has registered, links are refused (`fitting`).
"""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections


class Kept(Protocol):
    """A file that is kept until it expires. `url_path` begins with a slash and is signed."""

    @property
    def url_path(self) -> str: ...

    @property
    def expires_at(self) -> datetime: ...


class Keep(Protocol):
    """Stores bytes and writes down whose they are; synchronous, with a connection of its own."""

    def __call__(
        self, data: bytes, *, media_type: str, organization_id: int, request_id: UUID
    ) -> Kept: ...


_keepers: list[Keep] = []


def register(keep: Keep) -> None:
    """Called once, as the process starts; a later one takes the place of the first."""
    _keepers[:] = [keep]


def is_there() -> bool:
    return bool(_keepers)


async def kept(data: bytes, *, media_type: str, organization_id: int, request_id: UUID) -> Kept:
    """Keep it, on a thread of the pool."""
    return await sync_to_async(_kept, thread_sensitive=False)(
        data, media_type, organization_id, request_id
    )


def _kept(data: bytes, media_type: str, organization_id: int, request_id: UUID) -> Kept:
    try:
        return _keepers[0](
            data, media_type=media_type, organization_id=organization_id, request_id=request_id
        )
    finally:
        # The thread is anybody's: no connection may wait in it.
        connections.close_all()


def absolute(url_path: str, forwarded: dict[str, str]) -> str:
    """A link that works from outside: by the setting, else as the client reached us."""
    base: str = settings.CCAPI_PUBLIC_URL
    if not base:
        scheme = forwarded.get("x-forwarded-proto", "")
        base = f"{'https' if scheme == 'https' else 'http'}://{forwarded.get('host', 'localhost')}"
    return base + url_path
