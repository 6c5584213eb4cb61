"""Speech as the sandbox answers it, before any gateway hears it."""

import base64
import json

import pytest

from gateway.sandbox.delivery import Cut, Pause
from gateway.sandbox.failures import Refused
from gateway.sandbox.service import Asked, Reply
from gateway.sandbox.speech import Speech

TEXT = "one two"


def spoken(**body: object) -> Reply:
    told = {"model": "speech", "input": TEXT, "voice": "alloy", **body}
    return Speech().answer(Asked("POST", "/v1/audio/speech", {}, json.dumps(told).encode()))


def steps(**body: object) -> list[object]:
    return list(spoken(**body).steps)


def sound(**body: object) -> bytes:
    return b"".join(step for step in spoken(**body).steps if isinstance(step, bytes))


@pytest.mark.parametrize("made", ["mp3", "wav", "pcm"])
def test_events_carry_the_same_sound_and_tell_its_tokens(made: str) -> None:
    reply = spoken(response_format=made, stream_format="sse")
    events = [json.loads(step[6:]) for step in reply.steps if isinstance(step, bytes)]

    carried = [base64.b64decode(event["audio"]) for event in events[:-1]]
    assert b"".join(carried) == sound(response_format=made)
    assert len(carried) == len(TEXT)
    assert events[-1] == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 2, "output_tokens": 7, "total_tokens": 9},
    }


def test_it_is_slow_stalls_or_is_cut_where_it_is_told_to() -> None:
    assert [spoken(model=f"speech{each}").pause_s for each in ("", "-slow", "-slow:2")] == [0, 5, 2]
    assert steps(model="speech-stall:3")[4] == Pause(3.0)
    assert sound(model="speech-stall:3") == sound()
    assert [type(step) for step in steps(model="speech-cut-midstream:2")] == [bytes, bytes, Cut]


def test_it_may_be_no_sound_at_all() -> None:
    assert sound(model="speech-empty") == b""
    assert sound(model="speech-garbled").startswith(b"<!doctype")


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "echo"},
        {"model": "speech:1"},
        {"input": ""},
        {"input": "x" * 4097},
        {"speed": 5},
        {"response_format": "aac"},
        {"voice": None},
        {"model": "speech-overloaded"},
    ],
)
def test_what_it_does_not_say_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Refused):
        spoken(**wrong)
