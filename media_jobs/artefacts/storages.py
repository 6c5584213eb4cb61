"""Where the bytes lie: encrypted files in a folder, or a bucket of S3's kind.

Files are encrypted under a key of the master key and bound to their name: a copy of the disk, or a
backup of it, shows nobody's pictures. A bucket's encryption is the bucket's own setting, since S3
itself answers those who follow a link.
"""

import os
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage, storages
from django.utils.deconstruct import deconstructible

from ccapi.core import sealing

ALIAS = "artefacts"
LABEL = b"ccapi/artefacts/file/v1"
KINDS = ("files", "s3")
LINK_S = 300  # how long S3's own link is good: it is followed at once


def storage() -> Storage:
    return storages[ALIAS]


@deconstructible
class SealedFiles(FileSystemStorage):
    """Files that are on the disk when `save` is done, readable with the master key alone."""

    def _save(self, name: str, content: "File[Any]") -> str:
        sealed = sealing.seal(content.read(), _place(name), label=LABEL)
        saved: str = super()._save(name, ContentFile(sealed))  # type: ignore[misc]  # not in the stubs
        path = self.path(saved)
        _sync(path)
        _sync(os.path.dirname(path))  # noqa: PTH120 — the storage's paths are text
        return saved

    def _open(self, name: str, mode: str = "rb") -> "File[Any]":
        with super()._open(name, mode) as file:  # type: ignore[misc]  # not in the stubs
            sealed = file.read()
        return ContentFile(sealing.unseal(sealed, _place(name), label=LABEL), name)


def their_link(path: str) -> str | None:
    """S3's own link to an object, good for some minutes; None where we answer ourselves."""
    if settings.CCAPI_ARTEFACT_STORAGE != "s3":
        return None
    kept: Any = storage()
    return str(kept.url(path, expire=LINK_S))


def check_storage(**_: object) -> list[CheckMessage]:
    """Django's check: what is configured can be used."""
    kind = settings.CCAPI_ARTEFACT_STORAGE
    if kind not in KINDS:
        known = " or ".join(KINDS)
        return [
            Error(f"CCAPI_ARTEFACT_STORAGE is {kind!r}; it must be {known}.", id="artefacts.E1")
        ]
    if kind == "s3" and find_spec("boto3") is None:
        hint = (
            "Install django-storages[s3] beside the product, or set CCAPI_ARTEFACT_STORAGE=files."
        )
        return [Error("CCAPI_ARTEFACT_STORAGE=s3 needs boto3.", hint=hint, id="artefacts.E2")]
    if kind == "s3" and not settings.CCAPI_ARTEFACT_S3_BUCKET:
        return [Error("CCAPI_ARTEFACT_S3_BUCKET is not set.", id="artefacts.E3")]
    return []


def _place(name: str) -> bytes:
    return sealing.place("artefact", name, "file")


def _sync(path: str) -> None:
    """A paid picture must not be lost to a power cut after its row is committed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
