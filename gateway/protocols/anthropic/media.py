"""Images and documents of ours → Anthropic's blocks.

Anthropic reads PNG, JPEG, GIF and WebP images, PDF documents, and plain text; by URL, by bytes, or
by the id of a file that was uploaded to it (`file_…`). What it cannot read is refused: leaving it
out would change the answer.
"""

import base64
import binascii
from urllib.parse import unquote_to_bytes

from ccapi.core.errors import UnsupportedParameter
from gateway.ir.request import File, Image, Media
from gateway.protocols.anthropic import wire

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF = "application/pdf"
FILE_ID_PREFIX = "file_"  # OpenAI's ids begin with `file-`

# The first characters of base64 → the media type, for images that came without one.
_MAGIC = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi0": PDF,
}


def encode_image(part: Image, path: str) -> wire.Json:
    """Raises: UnsupportedParameter."""
    media = _unpacked(part.source)
    if media.data:
        media_type = "image/jpeg" if media.media_type == "image/jpg" else media.media_type
        if media_type not in IMAGE_TYPES:
            raise UnsupportedParameter(
                f"{path}: this model's provider takes images of {', '.join(IMAGE_TYPES)}, "
                f"not {media_type or 'of an unknown type'}.",
                param=path,
            )
        source: wire.Json = {"type": "base64", "media_type": media_type, "data": media.data}
    else:
        source = _by_reference(media, path)
    return {"type": "image", "source": source}


def encode_file(part: File, path: str) -> wire.Json:
    """Raises: UnsupportedParameter."""
    own = part.extras.get(wire.NAME, {})
    if "block" in own:
        return dict(wire.decode_object(own["block"]))
    media = _unpacked(part.source)
    if "source" in own:
        block: wire.Json = {"type": "document"}
    elif part.text:
        block = _plain(part.text)
    elif not media.data:
        block = {"type": "document", "source": _by_reference(media, path)}
    elif media.media_type == PDF:
        source = {"type": "base64", "media_type": PDF, "data": media.data}
        block = {"type": "document", "source": source}
    elif media.media_type.startswith("text/") or media.media_type == "application/json":
        block = _plain(_decoded(media.data, path))
    else:
        raise UnsupportedParameter(
            f"{path}: this model's provider takes PDF and text files, "
            f"not {media.media_type or 'of an unknown type'}.",
            param=path,
        )
    if part.filename:
        block["title"] = part.filename
    return block | own


def _plain(text: str) -> wire.Json:
    source = {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "document", "source": source}


def _by_reference(media: Media, path: str) -> wire.Json:
    if media.file_id:
        if not media.file_id.startswith(FILE_ID_PREFIX):
            raise UnsupportedParameter(
                f"{path}: file {media.file_id!r} is not kept by this model's provider; "
                "send its content or a URL.",
                param=path,
            )
        return {"type": "file", "file_id": media.file_id}
    if not media.url.startswith(("https://", "http://")):
        raise UnsupportedParameter(f"{path}: neither content nor an http(s) URL.", param=path)
    return {"type": "url", "url": media.url}


def _unpacked(media: Media) -> Media:
    """A `data:` URL as its bytes, and a media type guessed where the client told none."""
    if media.url.startswith("data:"):
        head, _, data = media.url.removeprefix("data:").partition(",")
        media_type, *options = head.split(";")
        if "base64" not in options:
            data = base64.b64encode(unquote_to_bytes(data)).decode()
        media = Media(data=data, media_type=media_type or media.media_type)
    if media.data and not media.media_type:
        guess = next((kind for magic, kind in _MAGIC.items() if media.data.startswith(magic)), "")
        return Media(data=media.data, media_type=guess)
    return media


def _decoded(data: str, path: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UnsupportedParameter(f"{path}: the file is no text in base64.", param=path) from error
