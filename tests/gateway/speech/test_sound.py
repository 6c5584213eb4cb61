"""What is audio, what is not, and one format into another."""

import asyncio
import base64
import json

import pytest

from gateway.protocols.base import GarbledStream
from gateway.speech import converting, formats
from gateway.speech.sound import Sound, check_start, is_sound
from gateway.transport.failures import AttemptFailed
from tests.fakes.speech import tone

FAMILIES = {"mp3": "mp3", "wav": "wav", "opus": "ogg", "flac": "flac", "aac": "aac"}


@pytest.mark.parametrize(("name", "family"), FAMILIES.items())
def test_a_file_is_known_by_its_first_bytes(name: str, family: str) -> None:
    start = tone(1.0, name)[:128]

    assert formats.recognized(start) == family == formats.family(name)
    check_start(start, name)
    for other, of in FAMILIES.items():
        if of != family:
            with pytest.raises(GarbledStream):
                check_start(start, other)


@pytest.mark.parametrize(
    "start", [b'{"detail": {"status": "quota_exceeded"}}', b"<!DOCTYPE html>", b'\n{"error": {}}']
)
@pytest.mark.parametrize("name", [*formats.NAMES, "ulaw_8000"])
def test_an_error_is_never_taken_for_audio(start: bytes, name: str) -> None:
    with pytest.raises(GarbledStream):
        check_start(start, name)


def test_samples_may_be_any_bytes() -> None:
    check_start(b'{"' + bytes(range(256)), "pcm")
    check_start(b"<" + bytes(200), "pcm")


@pytest.mark.parametrize(
    ("told", "is_good"),
    [
        ("audio/mpeg", True),
        ("application/octet-stream", True),
        ("", True),
        ("text/html; charset=utf-8", False),
        ("application/json", False),
        ("text/event-stream", False),
    ],
)
def test_types_of_bodies_that_may_be_audio(told: str, is_good: bool) -> None:
    assert is_sound(told) == is_good


def converted(data: bytes, made: str, wanted: str) -> bytes:
    async def placed() -> bytes:
        with converting.Place() as place:
            return await place.converted(data, made, wanted)

    return asyncio.run(placed())


def seconds(data: bytes, made: str) -> float:
    return asyncio.run(converting.seconds(data, made))


@pytest.mark.parametrize("wanted", ["mp3", "wav", "ogg", "opus", "flac", "pcm"])
@pytest.mark.parametrize("made", ["mp3", "wav", "opus", "flac", "pcm"])
def test_every_format_becomes_every_other_and_keeps_its_length(made: str, wanted: str) -> None:
    done = converted(tone(1.5, made), made, wanted)

    assert seconds(done, wanted) == pytest.approx(1.5, abs=0.12)
    if wanted != "pcm":
        assert formats.recognized(done) == formats.family(wanted)


def test_the_length_of_aac_is_counted_in_its_frames() -> None:
    assert seconds(tone(2.0, "aac"), "aac") == pytest.approx(2.0, abs=0.05)
    with pytest.raises(GarbledStream):
        seconds(b"no aac at all", "aac")


def test_samples_of_another_rate_are_as_long_as_they_sound() -> None:
    assert seconds(tone(1.0, "pcm", 16_000), "pcm_16000") == pytest.approx(1.0)
    assert seconds(bytes(8000), "ulaw_8000") == pytest.approx(1.0)


@pytest.mark.parametrize("made", ["mp3", "wav", "opus", "flac"])
def test_what_is_no_recording_is_garbled(made: str) -> None:
    with pytest.raises(GarbledStream):
        converted(b"\x00\x01" * 500, made, "wav")


def test_a_recording_that_says_to_be_endless_is_no_length() -> None:
    """A header alone that claims four gigabytes of samples costs what it has."""
    claimed = bytearray(tone(0.5, "wav"))
    at = claimed.index(b"data")
    claimed[at + 4 : at + 8] = b"\xff\xff\xff\xff"

    assert seconds(bytes(claimed), "wav") < 60 * 60 * 24
    assert len(converted(bytes(claimed), "wav", "pcm")) < 2 * len(claimed)


def events(*told: dict[str, object]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in told)


def delta(data: bytes) -> dict[str, object]:
    return {"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()}


DONE: dict[str, object] = {
    "type": "speech.audio.done",
    "usage": {"input_tokens": 5, "output_tokens": 50, "total_tokens": 55},
}


def test_events_cut_anywhere_carry_the_same_audio() -> None:
    stream = events(delta(b"abc"), delta(b"defg"), DONE)
    for at in range(len(stream) + 1):
        sound = Sound("text/event-stream; charset=utf-8")
        heard = sound.take(stream[:at]) + sound.take(stream[at:])

        assert heard == b"abcdefg"
        assert sound.is_complete
        assert sound.usage is not None
        assert (sound.usage.input, sound.usage.output_audio) == (5, 50)
        sound.ended()


def test_events_without_their_end_are_no_whole_recording() -> None:
    sound = Sound("text/event-stream")
    sound.take(events(delta(b"abc")))

    with pytest.raises(AttemptFailed):
        sound.ended()


@pytest.mark.parametrize(
    "told",
    [
        {"error": {"message": "No.", "code": "server_error"}},
        {"type": "error", "error": {"message": "No."}},
        {"type": "speech.audio.delta", "audio": "%%"},
        {"type": "speech.audio.done", "usage": {"input_tokens": -1}},
    ],
)
def test_an_event_that_is_an_error_or_no_audio_fails(told: dict[str, object]) -> None:
    with pytest.raises(AttemptFailed):
        Sound("text/event-stream").take(events(told))
