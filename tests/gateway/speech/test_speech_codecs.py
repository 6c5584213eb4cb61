"""How a request fits each vendor, what is sent, and how their errors are read."""

import json
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from catalog.types import Offer, Provider
from ccapi.core.errors import (
    ContextLengthExceeded,
    GatewayError,
    InvalidParameter,
    MissingParameter,
    UnsupportedParameter,
)
from gateway.protocols.base import Body, Target
from gateway.routing.blame import blame
from gateway.routing.failover import moves_on
from gateway.speech import client, elevenlabs, openai, values
from gateway.speech.speaker import Speaker
from gateway.speech.voices import UnknownVoice, Voice
from gateway.transport.failures import AttemptFailed


def body(**fields: object) -> Body:
    told = {"model": "m", "input": "Hello there.", "voice": "alloy", **fields}
    decoded: Body = msgspec.json.decode(msgspec.json.encode(told), type=Body)
    return decoded


def spoken(**fields: object) -> values.Spoken:
    return values.spoken_of(client.CODEC.decode_request(body(**fields)))


def offer(upstream_model: str, protocol: str = "openai") -> Offer:
    provider = Provider(
        id=1, name="p", display_name="P", protocol=protocol, base_url="http://127.0.0.1/v1"
    )
    return Offer(id=1, model="p/m", provider=provider, upstream_model=upstream_model)


def sent(codec: Speaker, upstream_model: str, *, by_token: bool = False, **fields: object) -> Any:  # noqa: ANN401 - JSON
    request = client.CODEC.decode_request(body(**fields))
    told = values.spoken_of(request)
    fit = codec.fit(told, offer(upstream_model), (), by_token=by_token)
    target = Target(upstream_model=upstream_model, stream=True)
    encoded = codec.encode_request(values.fitted(request, told, fit), target)
    return encoded.path, json.loads(encoded.body)


@pytest.mark.parametrize(
    ("fields", "format_", "delivery"),
    [
        ({}, "mp3", "bytes"),
        ({"response_format": "flac"}, "flac", "bytes"),
        ({"output_format": "ogg"}, "ogg", "bytes"),
        ({"output_format": "wav", "response_format": "wav"}, "wav", "bytes"),
        ({"response_format": "url"}, "mp3", "url"),
        ({"output_format": "wav", "response_format": "b64_json"}, "wav", "b64_json"),
        ({"stream_format": "sse", "response_format": "pcm"}, "pcm", "events"),
        ({"output_format": "mp3_44100_192"}, "mp3_44100_192", "bytes"),
        ({"response_format": None}, "mp3", "bytes"),
    ],
)
def test_the_two_fields_of_formats_mean_what_is_documented(
    fields: dict[str, object], format_: str, delivery: str
) -> None:
    told = spoken(**fields)

    assert (told.format, told.delivery) == (format_, delivery)


def test_a_failover_list_alone_names_the_models() -> None:
    request = client.CODEC.decode_request(body(model=None, models=["a/b", "c/d"], user="me"))

    assert (request.model, request.models, request.user) == ("", ("a/b", "c/d"), "me")
    assert request.stream
    assert not client.CODEC.decode_request(body(response_format="url")).stream


@pytest.mark.parametrize("name", ["input", "voice", "model"])
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(MissingParameter) as refused:
        client.CODEC.decode_request(body(**{name: None}))

    assert refused.value.param == name


def test_openai_is_sent_its_own_fields_and_nothing_else() -> None:
    path, plain = sent(openai.CODEC, "tts-1", voice="Alloy", messages=[], odd=1)
    _, rich = sent(
        openai.CODEC,
        "gpt-4o-mini-tts-2025-12-15",
        by_token=True,
        voice="Marin",
        instructions="Whisper.",
        voice_settings={"speed": 2},
        output_format="ogg",
    )
    _, custom = sent(openai.CODEC, "gpt-4o-mini-tts", voice={"id": "voice_1234"})

    assert path == "/audio/speech"
    assert plain == {
        "model": "tts-1",
        "input": "Hello there.",
        "voice": "alloy",
        "response_format": "mp3",
    }
    assert rich["voice"] == "marin"
    assert rich["instructions"] == "Whisper."
    assert rich["speed"] == 2
    assert rich["response_format"] == "opus"
    assert rich["stream_format"] == "sse"
    assert custom["voice"] == {"id": "voice_1234"}


def test_elevenlabs_is_asked_in_its_own_words() -> None:
    path, told = sent(
        elevenlabs.CODEC,
        "eleven_v3",
        voice="aria",
        speed=0.9,
        voice_settings={"stability": 0.5, "use_speaker_boost": True, "style": None},
        response_format="wav",
    )

    assert path == "/text-to-speech/9BWtsMINqrJLrRacOk9x/stream?output_format=pcm_24000"
    assert told == {
        "text": "Hello there.",
        "model_id": "eleven_v3",
        "voice_settings": {"stability": 0.5, "use_speaker_boost": True, "speed": 0.9},
    }


def test_a_voice_of_the_account_comes_before_a_published_one_of_its_name() -> None:
    own = (Voice(name="Aria - ours", id="ourAria0000000000001"),)
    fit = elevenlabs.CODEC.fit(
        spoken(voice="ARIA"), offer("eleven_v3", "elevenlabs"), own, by_token=False
    )

    assert fit.voice == "ourAria0000000000001"


@pytest.mark.parametrize(
    ("codec", "model", "fields", "error", "param"),
    [
        (openai.CODEC, "tts-1", {"voice": "marin"}, UnknownVoice, "voice"),
        (openai.CODEC, "tts-1", {"speed": 5}, UnsupportedParameter, "speed"),
        (openai.CODEC, "hibari-heart", {"voice": "heart", "response_format": "aac"},
         UnsupportedParameter, "output_format"),
        (openai.CODEC, "hibari-heart", {"voice": "heart", "instructions": "x"},
         UnsupportedParameter, "instructions"),
        (openai.CODEC, "tts-1", {"input": "a" * 4097}, ContextLengthExceeded, "input"),
        (openai.CODEC, "tts-1", {"output_format": "ulaw_8000"}, UnsupportedParameter,
         "output_format"),
        (elevenlabs.CODEC, "eleven_v3", {"voice": "Aira"}, UnknownVoice, "voice"),
        (elevenlabs.CODEC, "eleven_v3", {"voice": {"id": "a/b"}}, InvalidParameter, "voice"),
        (elevenlabs.CODEC, "eleven_v3", {"voice": "aria", "input": "a" * 5001},
         ContextLengthExceeded, "input"),
        (elevenlabs.CODEC, "eleven_v3", {"voice": "aria", "voice_settings": {"pitch": 1}},
         UnsupportedParameter, "voice_settings.pitch"),
        (elevenlabs.CODEC, "eleven_v3", {"voice": "aria", "voice_settings": {"speed": 3}},
         UnsupportedParameter, "speed"),
    ],
)  # fmt: skip
def test_what_a_vendor_cannot_do_is_refused_by_name(
    codec: Speaker, model: str, fields: dict[str, Any], error: type[GatewayError], param: str
) -> None:
    with pytest.raises(error) as refused:
        codec.fit(spoken(**fields), offer(model), (), by_token=False)

    assert refused.value.param == param


def test_a_voice_that_nobody_has_is_told_with_those_near_it() -> None:
    with pytest.raises(UnknownVoice) as refused:
        elevenlabs.CODEC.fit(spoken(voice="Sara"), offer("eleven_v3"), (), by_token=False)

    assert "sarah" in refused.value.details["similar"]
    assert not any(len(name) == 20 for name in refused.value.details["similar"])


@pytest.mark.parametrize(
    ("status", "told", "kind", "does_move"),
    [
        (401, {"detail": {"status": "quota_exceeded", "message": "m"}}, "credit", True),
        (401, {"detail": {"status": "invalid_api_key", "message": "m"}}, "auth", True),
        (402, {"detail": {"type": "payment_required", "code": "paid_plan_required",
                          "message": "m", "status": "payment_required"}}, "credit", True),
        (429, {"detail": {"status": "too_many_concurrent_requests"}}, "rate_limited", True),
        (429, {"detail": {"status": "system_busy", "message": "m"}}, "overloaded", True),
        (400, {"detail": {"status": "max_character_limit_exceeded"}}, "context_length", True),
        (404, {"detail": {"status": "voice_not_found", "message": "m"}}, "invalid", False),
        (400, {"detail": {"status": "model_not_found", "message": "m"}}, "not_found", True),
        (422, {"detail": [{"loc": ["body", "text"], "msg": "Field required"}]}, "invalid", False),
        (404, {"detail": "Not Found"}, "not_found", True),
        (500, {"detail": {"status": "something", "message": "m"}}, "server", True),
        (503, "<html>", "overloaded", True),
    ],
)  # fmt: skip
def test_elevenlabs_errors_are_understood(
    status: int, told: object, kind: str, does_move: bool
) -> None:
    raw = told.encode() if isinstance(told, str) else json.dumps(told).encode()
    headers = MappingProxyType({"request-id": "r1", "retry-after": "3"})
    failure = elevenlabs.CODEC.decode_error(status, headers, raw)
    attempt = AttemptFailed(failure)

    assert (failure.kind, failure.status, failure.request_id) == (kind, status, "r1")
    assert failure.message
    assert failure.retry_after == 3
    assert moves_on(attempt) == does_move
    # What a customer got wrong takes nobody out of service.
    assert kind != "invalid" or blame(attempt).part is None


def test_errors_of_a_body_say_where() -> None:
    told = {"detail": [{"loc": ["body", "voice_settings", 0], "msg": "Bad", "type": "t"}]}
    failure = elevenlabs.CODEC.decode_error(422, {}, json.dumps(told).encode())

    assert failure.message == "body.voice_settings.0: Bad"


@pytest.mark.parametrize(("told", "count"), [("44", 44), ("", None), ("-1", None), ("x", None)])
def test_the_vendors_own_count_is_read_where_it_is_one(told: str, count: int | None) -> None:
    assert elevenlabs.CODEC.characters({"x-character-count": told}) == count
