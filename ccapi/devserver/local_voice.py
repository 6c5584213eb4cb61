"""The local voice: hibari-tts, 24 kHz, English, out of a Python package; nothing is downloaded.

A text is spoken sentence by sentence, and each is written as soon as it is there, in the formats
that can be written so: MP3, Ogg and headless samples. WAV and FLAC say their length at their head,
and come whole.
"""

import io
import threading
from collections.abc import Iterator
from typing import Any

import hibari
import numpy as np
import soundfile

MODEL = "hibari-heart"
VOICE = "heart"
RATE = 24_000
SPEED = (0.5, 2.0)

# How each format is written, and its media type.
FORMATS: dict[str, tuple[str, str, str]] = {
    "mp3": ("MP3", "MPEG_LAYER_III", "audio/mpeg"),
    "opus": ("OGG", "OPUS", "audio/ogg"),
    "ogg": ("OGG", "VORBIS", "audio/ogg"),
    "flac": ("FLAC", "PCM_16", "audio/flac"),
    "wav": ("WAV", "PCM_16", "audio/wav"),
    "pcm": ("RAW", "PCM_16", "audio/pcm"),
}
_WHOLE = frozenset({"flac", "wav"})
# About 80 kbit/s. The encoder's own choice varies, and a player that has not read to the end would
# take the length from the first frames.
_MP3 = {"bitrate_mode": "CONSTANT", "compression_level": 0.5}


class Voice:
    """Loads on first use; says one thing at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._speaker: Any = None  # the package has no types

    def speak(self, text: str, kind: str, speed: float) -> Iterator[bytes]:
        """The pieces of a recording, in order, as they are made; none where nothing can be said."""
        container, subtype, _ = FORMATS[kind]
        tape = _Tape(kind)
        options: dict[str, Any] = dict(_MP3) if kind == "mp3" else {}
        if kind == "pcm":
            options["endian"] = "LITTLE"
        file = soundfile.SoundFile(
            tape, "w", samplerate=RATE, channels=1, format=container, subtype=subtype, **options
        )
        is_heard = False
        with file:
            for sentence in self._sentences(text, speed):
                is_heard = is_heard or len(sentence) > 0
                file.write(sentence)
                file.flush()
                if kind not in _WHOLE and (piece := tape.take()):
                    yield piece
        # Of a text without a word there is no recording, though a file has its frames.
        if is_heard and (rest := tape.take()):
            yield rest

    def _sentences(self, text: str, speed: float) -> Iterator[np.ndarray[Any, np.dtype[np.int16]]]:
        with self._lock:
            if self._speaker is None:
                self._speaker = hibari.Hibari(voice=VOICE)
        said = self._speaker.stream(text, speed=speed, seed=0)
        while True:
            with self._lock:  # between sentences others have their turn
                samples = next(said, None)
            if samples is None:
                return
            yield (np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)


class _Tape(io.RawIOBase):
    """What an encoder writes to: what it has written can be taken from it as it comes.

    Of MP3 the first frame is left out. It holds the length of all, is written again once that is
    known, and by then it is gone; without it a player measures for itself.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._data = bytearray()
        self._at = 0
        self._taken = 0
        self._is_mp3 = kind == "mp3"
        self._first_frame = 0  # its size

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        piece = bytes(data)
        if self._is_mp3 and not self._first_frame:
            self._first_frame = self._taken = len(piece)
        end = self._at + len(piece)
        if end > self._taken:
            self._data[self._at : end] = piece
        self._at = end
        return len(piece)

    def take(self) -> bytes:
        piece = bytes(self._data[self._taken :])
        self._taken += len(piece)
        return piece

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer
        """An encoder may look at what it wrote."""
        found = self._data[self._at : self._at + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
