"""Names of artefacts: nobody can guess one, and each says until when it is kept and what it is.

`6922f0c0-4fQ…9z.png`: the end in hexadecimal seconds, 160 random bits, the kind. A link needs no
row for that, and a folder holds what ends in the same hour, so it can go as a whole.
"""

import re
import secrets
from datetime import UTC, datetime

from ccapi.core.ids import ALPHABET

_NAME = re.compile(r"([0-9a-f]{8})-[0-9A-Za-z]{27}\.([a-z0-9]{3,4})", re.ASCII)
_FOLDER = re.compile(r"[0-9]{10}", re.ASCII)
FOLDER_FORM = "%Y%m%d%H"
OTHER = "bin"
OTHER_TYPE = "application/octet-stream"
# What a browser may show in place; it does nothing with these but show or play them.
TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
}
_ENDINGS = {media_type: ending for ending, media_type in TYPES.items()} | {"audio/x-wav": "wav"}


def make(media_type: str, *, expires_at: datetime) -> str:
    ending = _ENDINGS.get(media_type.partition(";")[0].strip().lower(), OTHER)
    chance = "".join(secrets.choice(ALPHABET) for _ in range(27))
    return f"{int(expires_at.timestamp()):08x}-{chance}.{ending}"


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def expires_at(name: str) -> datetime:
    """Raises: ValueError."""
    return datetime.fromtimestamp(int(_parts(name)[1], 16), UTC)


def media_type(name: str) -> str:
    """As a browser is told. Raises: ValueError."""
    return TYPES.get(_parts(name)[2], OTHER_TYPE)


def path(name: str) -> str:
    """Where it lies in the storage. Raises: ValueError."""
    return f"{expires_at(name):{FOLDER_FORM}}/{name}"


def folder_end(folder: str) -> datetime | None:
    """The hour in which all that is in this folder ends; None for what is no folder of ours."""
    if not _FOLDER.fullmatch(folder):
        return None
    try:
        return datetime.strptime(folder, FOLDER_FORM).replace(tzinfo=UTC)
    except ValueError:
        return None


def _parts(name: str) -> "re.Match[str]":
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name[:64]!r} is no artefact's name")
    return found
