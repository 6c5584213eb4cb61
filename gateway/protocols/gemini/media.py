"""Images, sound and files, both ways: `inlineData` (base64) and `fileData` (by URI).

A URI is one of Google's own files (of the Files API, or in Cloud Storage), or any public http(s)
URL, which Gemini fetches itself. Source: https://ai.google.dev/gemini-api/docs/file-input-methods
"""

import base64
import mimetypes
from urllib.parse import unquote_to_bytes, urlsplit

from ccapi.core.errors import UnsupportedParameter
from gateway.ir.request import Audio, Extras, File, Image, Media
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.signatures import standard

_OWN_FILES = ("https://generativelanguage.googleapis.com/", "gs://", "files/")
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mp3"}
_AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
}

# The first characters of base64 → the media type, for bytes that came without one.
_MAGIC = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi0": "application/pdf",
}


def decode_media(
    source: Media, media_type: str, *, filename: str = "", extras: Extras | None = None
) -> Image | Audio | File:
    """A part of ours by its media type; what is neither picture nor sound is a file."""
    if source.data:
        place = Media(data=standard(source.data), media_type=media_type)
    elif source.url.startswith(_OWN_FILES):
        place = Media(file_id=source.url, media_type=media_type)
    else:
        place = Media(url=source.url, media_type=media_type)
    family = (media_type or _guessed(place)).partition("/")[0]
    if family == "image":
        return Image(source=place)
    if family == "audio":
        return Audio(source=place, format=_AUDIO_FORMATS.get(media_type, ""))
    own = {name: told for name, told in (extras or {}).items() if told}
    return File(source=place, filename=filename, extras=own)


def encode_media(part: Image | Audio | File, at: str) -> wire.Json:
    """Raises: UnsupportedParameter for what Gemini cannot be given."""
    if isinstance(part, File) and part.text:
        title = f"{part.filename}:\n\n" if part.filename else ""
        return {"text": title + part.text}
    source = _unpacked(part.source)
    media_type = source.media_type
    if isinstance(part, Audio) and not media_type:
        media_type = _AUDIO_TYPES.get(part.format, "")
    media_type = media_type or _guessed(source)
    if source.data:
        if not media_type:
            raise UnsupportedParameter(f"{at}: this model needs the media type.", param=at)
        encoded: wire.Json = {"inlineData": {"mimeType": media_type, "data": source.data}}
    else:
        told: wire.Json = {"fileUri": _uri(source, at)}
        if media_type:
            told["mimeType"] = media_type
        encoded = {"fileData": told}
    if isinstance(part, File):
        encoded |= part.extras.get(wire.NAME, {})
    return encoded


def _uri(source: Media, at: str) -> str:
    if source.file_id:
        if not source.file_id.startswith(_OWN_FILES):
            raise UnsupportedParameter(
                f"{at}: file {source.file_id!r} is not kept by this model's provider; "
                "send its content or a URL.",
                param=at,
            )
        return source.file_id
    if not source.url.startswith(("https://", "http://")):
        raise UnsupportedParameter(f"{at}: neither content nor an http(s) URL.", param=at)
    return source.url


def _unpacked(media: Media) -> Media:
    """A `data:` URL as its bytes."""
    if not media.url.startswith("data:"):
        return media
    head, _, data = media.url.removeprefix("data:").partition(",")
    media_type, *options = head.split(";")
    if "base64" not in options:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return Media(data=data, media_type=media_type or media.media_type)


def _guessed(source: Media) -> str:
    if source.data:
        return next((kind for magic, kind in _MAGIC.items() if source.data.startswith(magic)), "")
    return mimetypes.guess_type(urlsplit(source.url).path)[0] or ""
