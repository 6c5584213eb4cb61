"""One format into another, and how long a recording is: libsndfile, in a confined process.

What it reads and writes is in memory, so how much of it there is at a time is bounded: `Room`.
`sounds` does the work, and is never imported here: what providers send is foreign, and numpy, which
comes with it, takes 23 MB and a third of a second. AAC is measured here and never made.
"""

import asyncio
import math
from types import TracebackType

from ccapi.core.confined.bench import Bench, Limits, NotDone
from ccapi.core.errors import Overloaded
from ccapi.core.loops import PerLoop
from gateway.protocols.base import GarbledStream
from gateway.speech import formats

# One recording that has to be whole: 22 minutes of PCM, 33 of MP3 at 128 kbit/s.
WHOLE_BYTES_MAX = 64 * 1024 * 1024
ROOM_BYTES = 256 * 1024 * 1024
AT_A_TIME = 2
# Beside what is read and made.
LIMITS = Limits(seconds=180.0, memory_bytes=ROOM_BYTES + 256 * 1024 * 1024, answer_bytes=ROOM_BYTES)

_bench = Bench("gateway.speech.sounds", at_a_time=AT_A_TIME)
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_AAC_FRAME = 1024  # samples


class Room:
    """The memory that whole recordings may take together, in one process."""

    def __init__(self) -> None:
        self.taken = 0


_rooms = PerLoop(Room)


class Place:
    """What one recording takes of the room, given back when it is told."""

    def __init__(self) -> None:
        self._room = _rooms.get()
        self._bytes = 0

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._room.taken -= self._bytes

    def take(self, size: int) -> None:
        """Raises: Overloaded where there is no room for so many bytes more."""
        if self._room.taken + size > ROOM_BYTES:
            raise Overloaded("Too many recordings are being made whole just now. Try again soon.")
        self._room.taken += size
        self._bytes += size

    async def converted(self, data: bytes, made: str, wanted: str) -> bytes:
        """Raises: GarbledStream for what is not of the format it says to be; Overloaded."""
        done = await _worked("convert", data, made=made, wanted=wanted)
        self.take(len(done))
        return done


async def seconds(data: bytes, made: str) -> float:
    """How long it sounds. Raises: GarbledStream, Overloaded."""
    if formats.family(made) == "aac":
        return await asyncio.to_thread(_aac_seconds, data)
    try:
        found = float(await _worked("seconds", data, made=made))
    except ValueError as error:
        raise GarbledStream(f"no {made}") from error
    if not math.isfinite(found) or found < 0:
        raise GarbledStream(f"no {made}")
    return found


async def _worked(function: str, data: bytes, *, made: str, **arguments: str) -> bytes:
    try:
        return await _bench.run(function, data, limits=LIMITS, made=made, **arguments)
    except NotDone as error:
        why = "" if error.reason == "refused" else f" that can be decoded ({error.reason})"
        raise GarbledStream(f"no {made}{why}") from error


def _aac_seconds(data: bytes) -> float:
    """Of ADTS frames, whose headers say their lengths (ISO/IEC 13818-7, 6.2)."""
    at = frames = 0
    rate = 0
    while at + 7 <= len(data) and data[at] == 0xFF and data[at + 1] & 0xF6 == 0xF0:
        index = data[at + 2] >> 2 & 0x0F
        if index >= len(_AAC_RATES):
            break
        rate = _AAC_RATES[index]
        length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        if length < 7:
            break
        frames += 1
        at += length
    if not frames:
        raise GarbledStream("no aac")
    return frames * _AAC_FRAME / rate
