"""Sound as the sandbox makes it: decoded by libsndfile, which knows nothing of how it was made."""

import io
import math
from array import array

import pytest
import soundfile

from gateway.sandbox import tones

NOTES = {character: (9 + ord(character) % 24) * tones.RATE / tones.STEP for character in "aMz0"}


def sound(text: str, made: str, speed: float = 1.0) -> bytes:
    head, pieces = tones.pieces(text, tones.FORMATS[made], speed=speed)
    return head + b"".join(pieces)


def samples(text: str, made: str, speed: float = 1.0) -> "array[int]":
    data = sound(text, made, speed)
    if made == "pcm":
        return array("h", data)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert (file.samplerate, file.channels) == (tones.RATE, 1)
        return array("h", bytes(file.buffer_read(dtype="int16")))


def share(found: "array[int]", hertz: float) -> float:
    """How much of a sound's energy is a pure tone of this frequency (Goertzel's algorithm)."""
    turn = 2 * math.cos(2 * math.pi * hertz / tones.RATE)
    one = two = 0.0
    for sample in found:
        one, two = sample + turn * one - two, one
    energy = sum(sample * sample for sample in found)
    return 2 * (one * one + two * two - turn * one * two) / (len(found) * energy)


@pytest.mark.parametrize("made", tones.FORMATS)
@pytest.mark.parametrize("speed", [0.25, 1.0, 1.7, 4.0])
def test_it_is_as_long_as_its_text(made: str, speed: float) -> None:
    text = "Hello there, world." * 5

    seconds = len(samples(text, made, speed)) / tones.RATE

    assert seconds == pytest.approx(len(text) * 0.072 / speed, abs=0.013)


@pytest.mark.parametrize("made", tones.FORMATS)
@pytest.mark.parametrize("character", NOTES)
def test_a_character_is_a_pure_tone_of_its_own(made: str, character: str) -> None:
    found = samples(character * 10, made)[4800:9600]

    assert max(found) == pytest.approx(0.3 * 32768, rel=0.1)
    assert share(found, NOTES[character]) > 0.98
    assert all(share(found, hertz) < 0.01 for other, hertz in NOTES.items() if other != character)


@pytest.mark.parametrize("made", tones.FORMATS)
def test_white_space_is_silence(made: str) -> None:
    found = samples("a    z", made)

    # In an MP3 a tone rings on for a frame.
    assert max(found[3 * 1728 : 4 * 1728]) <= 1


def test_the_same_text_is_the_same_sound_and_one_character_is_one_already() -> None:
    assert sound("Hi!", "mp3") == sound("Hi!", "mp3") != sound("Ho!", "mp3")
    assert len(samples("a", "mp3", 4.0)) == len(samples("a", "pcm")) == 3 * tones.STEP
