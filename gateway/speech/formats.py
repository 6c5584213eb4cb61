"""Formats of audio: their names, media types and first bytes.

A family is what a file is (`mp3`, `wav`, `ogg`, `flac`, `aac`, or headless `pcm`, `ulaw`, `alaw`);
a format is what is asked for: one of NAMES, or a vendor's own name with its rate
(`mp3_44100_128`). Nothing is converted here.
"""

import re

NAMES = ("mp3", "wav", "ogg", "opus", "flac", "aac", "pcm")
PCM_RATE = 24_000  # samples a second, 16 bits, one channel: OpenAI's `pcm`, and so ours

# Vendor's names that pass as they are, to providers that know them.
# Source: https://elevenlabs.io/docs/api-reference/text-to-speech/stream (read 2026-11-22)
_VENDOR = re.compile(r"(mp3|pcm|wav|opus|ulaw|alaw)_(\d{4,5})(?:_\d{2,3})?")
_HEADLESS = frozenset({"pcm", "ulaw", "alaw"})
_MEDIA = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "opus": "audio/ogg; codecs=opus",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "ulaw": "audio/basic",
    "alaw": "audio/x-alaw-basic",
}
_MAGIC = ((b"ID3", "mp3"), (b"RIFF", "wav"), (b"OggS", "ogg"), (b"fLaC", "flac"))
_TEXT = (b"{", b"<", b"[")


def is_vendors(name: str) -> bool:
    return _VENDOR.fullmatch(name) is not None


def family(name: str) -> str:
    """What a file of this format is; Opus comes in Ogg."""
    first = name.partition("_")[0]
    return "ogg" if first == "opus" else first


def rate(name: str) -> int:
    """Samples a second, of a headless format."""
    found = _VENDOR.fullmatch(name)
    return int(found[2]) if found else PCM_RATE


def media_type(name: str) -> str:
    first = name.partition("_")[0]
    return f"audio/pcm; rate={rate(name)}" if first == "pcm" else _MEDIA[first]


def is_headless(name: str) -> bool:
    """Whether audio begins with the first byte, so that any number of bytes is some."""
    return family(name) in _HEADLESS


def is_text(start: bytes, name: str) -> bool:
    """Whether an answer that should be audio begins as an error does: with JSON, or a page."""
    head = start.lstrip()[:2]
    if is_headless(name):
        # Samples may be any bytes: only what cannot well be chance counts.
        return head in (b'{"', b"<!") and start.isascii()
    return head[:1] in _TEXT


def recognized(start: bytes) -> str:
    """The family that a file's first bytes say; "" where they say none that we know."""
    for magic, found in _MAGIC:
        if start.startswith(magic):
            return found
    if len(start) > 1 and start[0] == 0xFF:
        # A frame's sync word: MPEG audio names its layer (III is 01), ADTS has 00 there.
        if start[1] & 0xF6 == 0xF0:
            return "aac"
        if start[1] & 0xE6 == 0xE2:
            return "mp3"
    return ""
