"""The door of artefacts: keep, read and link them, and delete them in time."""

from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import msgspec
from django.conf import settings
from django.core.files.base import ContentFile

from ccapi.core import clock
from ccapi.core.errors import LinkExpired
from media_jobs.artefacts import links, names
from media_jobs.artefacts.models import Artefact
from media_jobs.artefacts.storages import storage
from media_jobs.artefacts.sweeping import delete_due, sweep_orphans

__all__ = ["Kept", "delete_due", "keep", "link", "read", "sweep_orphans"]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is kept until it expires."""

    name: str
    url_path: str  # of its link, beginning with a slash
    expires_at: datetime
    bytes: int


def keep(data: bytes, *, media_type: str, organization_id: int, request_id: UUID) -> Kept:
    """Store bytes for `CCAPI_ARTEFACT_S`; on the disk, or in the bucket, when this returns.

    May be called in a transaction: the file of one that rolls back is swept.
    """
    now = clock.now().replace(microsecond=0)
    expires_at = now + timedelta(seconds=settings.CCAPI_ARTEFACT_S)
    name = names.make(media_type, expires_at=expires_at)
    content = ContentFile(data)
    content.content_type = names.media_type(name)  # type: ignore[attr-defined]  # S3's storage asks
    storage().save(names.path(name), content)
    Artefact.objects.create(
        name=name,
        organization_id=organization_id,
        request_id=request_id,
        media_type=media_type,
        bytes=len(data),
        sha256=sha256(data).digest(),
        created_at=now,
        expires_at=expires_at,
    )
    return Kept(name=name, url_path=links.path(name), expires_at=expires_at, bytes=len(data))


def read(name: str) -> bytes:
    """Raises: LinkExpired where it is kept no longer."""
    try:
        with storage().open(names.path(name)) as file:
            return bytes(file.read())
    except FileNotFoundError as error:
        raise LinkExpired("This file is kept no longer. Ask for it anew.") from error


def link(kept: Kept | str, *, base_url: str = "") -> str:
    """An absolute URL, by `CCAPI_PUBLIC_URL`, else by `base_url`: where the customer reached us.

    Of an artefact that is kept no longer, it says so to those who follow it.
    """
    name = kept if isinstance(kept, str) else kept.name
    base: str = settings.CCAPI_PUBLIC_URL or base_url.rstrip("/")
    return base + links.path(name)
