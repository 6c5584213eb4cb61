"""One format into another, and how long a recording is: libsndfile, on a thread.

What it reads and writes is in memory, so how much of it there is at a time is bounded: `Room`.
libsndfile makes and reads all of our formats but AAC, which is measured here and never made. It is
loaded when the first recording needs it: with numpy it takes 23 MB and a third of a second.
"""

import asyncio
import io
from types import TracebackType
from typing import TYPE_CHECKING

from ccapi.core.errors import Overloaded
from ccapi.core.loops import PerLoop
from gateway.protocols.base import GarbledStream
from gateway.speech import formats

if TYPE_CHECKING:
    import soundfile

# One recording that has to be whole: 22 minutes of PCM, 33 of MP3 at 128 kbit/s.
WHOLE_BYTES_MAX = 64 * 1024 * 1024
ROOM_BYTES = 256 * 1024 * 1024
AT_A_TIME = 2
BLOCK_FRAMES = 64 * 1024

_WRITTEN = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "wav": ("WAV", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "flac": ("FLAC", "PCM_16"),
    "pcm": ("RAW", "PCM_16"),
}
_HEADLESS = {"pcm": "PCM_16", "ulaw": "ULAW", "alaw": "ALAW"}
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_AAC_FRAME = 1024  # samples


class Room:
    """The memory that whole recordings may take together, in one process."""

    def __init__(self) -> None:
        self.taken = 0
        self.turns = asyncio.Semaphore(AT_A_TIME)


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
        """Raises: GarbledStream for what is not of the format it says to be."""
        async with self._room.turns:
            done = await asyncio.to_thread(convert, data, made, wanted)
        self.take(len(done))
        return done

    async def seconds(self, data: bytes, made: str) -> float:
        """How long it sounds. Raises: GarbledStream."""
        async with self._room.turns:
            return await asyncio.to_thread(seconds, data, made)


def convert(data: bytes, made: str, wanted: str) -> bytes:
    """Block by block, so that its samples are never all in memory. Raises: GarbledStream."""
    import soundfile

    target = io.BytesIO()
    container, subtype = _WRITTEN[wanted]
    try:
        with (
            _opened(data, made) as source,
            soundfile.SoundFile(
                target,
                "w",
                samplerate=source.samplerate,
                channels=source.channels,
                format=container,
                subtype=subtype,
                endian="LITTLE" if wanted == "pcm" else None,
            ) as sink,
        ):
            while len(block := source.buffer_read(BLOCK_FRAMES, dtype="int16")):
                sink.buffer_write(block, dtype="int16")
    except soundfile.LibsndfileError as error:
        raise GarbledStream(f"no {made}") from error
    return target.getvalue()


def seconds(data: bytes, made: str) -> float:
    """Raises: GarbledStream."""
    if formats.family(made) == "aac":
        return _aac_seconds(data)
    import soundfile

    try:
        with _opened(data, made) as source:
            return float(source.frames / source.samplerate)
    except soundfile.LibsndfileError as error:
        raise GarbledStream(f"no {made}") from error


def _opened(data: bytes, made: str) -> "soundfile.SoundFile":
    import soundfile

    family = formats.family(made)
    if family not in _HEADLESS:
        return soundfile.SoundFile(io.BytesIO(data))
    return soundfile.SoundFile(
        io.BytesIO(data),
        samplerate=formats.rate(made),
        channels=1,
        format="RAW",
        subtype=_HEADLESS[family],
        endian="LITTLE" if family == "pcm" else None,
    )


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
