"""Recordings read and written anew, by libsndfile: in a confined process, imported nowhere else.

`ccapi.core.confined` runs these functions. libsndfile makes and reads all of our formats but AAC,
which `converting` measures by its headers and nobody makes.
"""

import io

import soundfile

from ccapi.core.confined.wire import Refused
from gateway.speech import formats

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


def convert(data: bytes, *, made: str, wanted: str) -> bytes:
    """Block by block, so that its samples are never all in memory. Raises: Refused."""
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
    except soundfile.LibsndfileError:
        raise Refused("broken") from None
    return target.getvalue()


def seconds(data: bytes, *, made: str) -> bytes:
    """How long it sounds, in decimal digits. Raises: Refused."""
    try:
        with _opened(data, made) as source:
            return repr(float(source.frames / source.samplerate)).encode()
    except soundfile.LibsndfileError:
        raise Refused("broken") from None


def _opened(data: bytes, made: str) -> soundfile.SoundFile:
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
