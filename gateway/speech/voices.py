"""Voices by name: what vendors publish, and how a name is looked up.

A vendor's account may have more (`listing`). Names are compared without regard to case, and
ElevenLabs' also by their first word ("Aria - warm and expressive" is `aria`). Pure functions.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

import msgspec

from ccapi.core.errors import InvalidParameter

NEAR_MAX = 5
SHOWN = 64  # characters of a customer's text that an error repeats
_ID = re.compile(r"[A-Za-z0-9]{20}")  # ElevenLabs': all that are published look so
_SAFE = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """A voice that can be asked for by its name, or by its id where it has one."""

    name: str
    id: str = ""
    description: str = ""


class UnknownVoice(InvalidParameter):
    """No voice of this name is known; the provider's own list may have it."""


# Source: https://platform.openai.com/docs/guides/text-to-speech#voice-options (read 2026-11-22)
_TTS_1 = ("alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer")
_TTS_4O = tuple(sorted((*_TTS_1, "ballad", "cedar", "marin", "verse")))
OPENAI: dict[str, tuple[str, ...]] = {
    "tts-1": _TTS_1,
    "tts-1-hd": _TTS_1,
    "gpt-4o-mini-tts": _TTS_4O,
}
# The local voice of `serve`.
LOCAL: dict[str, tuple[str, ...]] = {"hibari-heart": ("heart",)}

# ElevenLabs' premade voices, which every account has.
# Source: https://elevenlabs.io/docs/api-reference/voices/search and its voice library
# (read 2026-11-22)
ELEVENLABS: tuple[Voice, ...] = tuple(
    Voice(name=name, id=voice_id)
    for name, voice_id in (
        ("Alice", "Xb7hH8MSUJpSbSDYk0k2"),
        ("Aria", "9BWtsMINqrJLrRacOk9x"),
        ("Bill", "pqHfZKP75CvOlQylNhV4"),
        ("Brian", "nPczCjzI2devNBz1zQrb"),
        ("Callum", "N2lVS1w4EtoT3dr4eOWO"),
        ("Charlie", "IKne3meq5aSn9XLyUdCD"),
        ("Charlotte", "XB0fDUnXU5powFXDhCwa"),
        ("Chris", "iP95p4xoKVk53GoZ742B"),
        ("Daniel", "onwK4e9ZLuTAKqWW03F9"),
        ("Eric", "cjVigY5qzO86Huf0OWal"),
        ("George", "JBFqnCBsd6RMkjVDRZzb"),
        ("Jessica", "cgSgspJ2msm6clMCkdW9"),
        ("Laura", "FGY2WhTYpPnrIDTdsKH5"),
        ("Liam", "TX3LPaxmHKxFdv7VOQHJ"),
        ("Lily", "pFZP5JQG7iQjIQuC4Bku"),
        ("Matilda", "XrExE9yKIg1WjnnlVkGX"),
        ("Rachel", "21m00Tcm4TlvDq8ikWAM"),
        ("River", "SAz9YHcvj6GT2YYXdXww"),
        ("Roger", "CwhRBWXzGAHq8TQ4Fs17"),
        ("Sarah", "EXAVITQu4vr4xnSDxMaL"),
        ("Will", "bIHbv24MWmeRgasZH58o"),
    )
)


def published(upstream_model: str) -> tuple[str, ...]:
    """The names that a model of OpenAI's protocol is known to have; () where nobody knows.

    A dated name (`gpt-4o-mini-tts-2025-12-15`) is that of its model.
    """
    known = {**OPENAI, **LOCAL}
    return known.get(upstream_model) or known.get(
        re.sub(r"-\d{4}-\d\d-\d\d$", "", upstream_model), ()
    )


def among(names: Iterable[str], asked: str) -> str | None:
    """The name that is asked for, as its vendor writes it."""
    wanted = asked.casefold()
    return next((name for name in names if name.casefold() == wanted), None)


def elevenlabs_id(asked: str, own: Iterable[Voice], *, by_id: bool) -> str:
    """The id of a voice by its name or id; `own` are those of the account, which come first.

    Raises: UnknownVoice, InvalidParameter.
    """
    if by_id or _ID.fullmatch(asked):
        return checked_id(asked)
    known = names(own)
    found = known.get(asked.casefold())
    if found is None:
        raise unknown(asked, known)
    return found.id


def checked_id(asked: str) -> str:
    """An id that may stand in a path. Raises: InvalidParameter."""
    if not _SAFE.fullmatch(asked):
        raise InvalidParameter(f"{asked[:SHOWN]!r} is no id of a voice.", param="voice")
    return asked


def names(own: Iterable[Voice]) -> dict[str, Voice]:
    """Voices by the names that they go by, those of the account before the published ones."""
    known: dict[str, Voice] = {}
    for voice in (*own, *ELEVENLABS):
        whole = voice.name.casefold()
        first = re.split(r"\s+[^\w\s]", whole)[0]
        for name in (voice.id.casefold(), whole, first):
            known.setdefault(name, voice)
    return known


def unknown(asked: str, known: Mapping[str, object] | Iterable[str]) -> UnknownVoice:
    """What to say of a name that nobody has."""
    every = sorted({name for name in known if not _ID.fullmatch(name)})
    near = difflib.get_close_matches(asked.casefold(), every, n=NEAR_MAX, cutoff=0.5)
    shown = near or every[:12]
    return UnknownVoice(
        f"There is no voice {asked[:SHOWN]!r} for this model. "
        f"{'Near' if near else 'Some'}: {', '.join(shown)}. See GET /audio/voices.",
        param="voice",
        details={"voice": asked[:SHOWN], "similar": shown},
    )
