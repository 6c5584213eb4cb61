"""Sound out of the standard library: a tone a character, so that its length follows the text.

It goes in steps of 24 ms, which are a frame of MP3 at this rate. A note is so many whole waves a
step: every step of it is the same, and the next note goes on where it ended, at zero. In an MP3 it
is one number: the same coefficient of the transform in every frame is a pure tone.

Source: ISO/IEC 13818-3 (MPEG-2 layer III) and, for its tables, ISO/IEC 11172-3
"""

import math
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

RATE = 24_000  # samples a second, 16 bits, one channel
STEP = 576  # samples
STEPS_A_CHARACTER = 3
# A note is so many times 41.67 Hz: from 375 Hz to 1.3 kHz.
_LOWEST, _NOTES = 9, 24
_REST = 0
_AMPLITUDE = 0.3

# MPEG-2 layer III without a checksum, 32 kbit/s, 24 kHz, one channel.
_MP3_HEAD = b"\xff\xf3\x44\xc0"
_MP3_FRAME = 96  # bytes
_MP3_GAIN = 203  # of a coefficient of 1: as loud as _AMPLITUDE


class Format(NamedTuple):
    """How a sound is written: a head for so many steps, then a piece a step of each note."""

    media_type: bytes
    head: Callable[[int], bytes]
    step: Callable[[int], bytes]


def pieces(text: str, made: Format, *, speed: float = 1.0) -> tuple[bytes, list[bytes]]:
    """The head of a recording, and what follows, a piece a character."""
    notes = list(_notes(text, speed))
    return made.head(sum(steps for _, steps in notes)), [
        made.step(note) * steps for note, steps in notes if steps
    ]


def _notes(text: str, speed: float) -> Iterator[tuple[int, int]]:
    """Each character's note and how many steps it takes; the whole is as long as it should be.

    However fast, it has the steps of one character: a single frame is no MP3 to many players.
    """
    done = 0
    for position, character in enumerate(text, 1):
        until = max(STEPS_A_CHARACTER, round(position * STEPS_A_CHARACTER / speed))
        yield _note(character), until - done
        done = until


def _note(character: str) -> int:
    return _REST if character.isspace() else _LOWEST + ord(character) % _NOTES


@lru_cache(maxsize=_NOTES + 1)
def _samples(note: int) -> bytes:
    wave = (math.sin(2 * math.pi * note * at / STEP) for at in range(STEP))
    return struct.pack(f"<{STEP}h", *(round(32767 * _AMPLITUDE * each) for each in wave))


def _wav_head(steps: int) -> bytes:
    size = 2 * STEP * steps
    described = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + described
        + b"data"
        + struct.pack("<I", size)
    )


@lru_cache(maxsize=_NOTES + 1)
def _mp3_frame(note: int) -> bytes:
    """One frame that depends on no other: its side information (9 bytes), then its coefficients."""
    coded = "" if note == _REST else _one_coefficient(2 * note - 1)
    side = (
        f"{0:08b}{0:b}"  # the frame's data begin in it; private
        f"{len(coded):012b}{0:09b}{_MP3_GAIN:08b}{0:09b}"  # no large values, no scale factors
        f"{0:b}{0:015b}{0:07b}{0:b}{1:b}"  # a long block; small values by the table of plain bits
    )
    bits = (side + coded).ljust(8 * (_MP3_FRAME - len(_MP3_HEAD)), "0")
    return _MP3_HEAD + int(bits, 2).to_bytes(len(bits) // 8, "big")


def _one_coefficient(at: int) -> str:
    """Coefficients by fours, a bit each that says whether it is zero; then signs (0: plus)."""
    before, place = divmod(at, 4)
    return "1111" * before + f"{15 - (8 >> place):04b}" + "0"


FORMATS = {
    "mp3": Format(b"audio/mpeg", lambda _: b"", _mp3_frame),
    "wav": Format(b"audio/wav", _wav_head, _samples),
    "pcm": Format(b"audio/pcm", lambda _: b"", _samples),
}
