"""Speech over a running product: OpenAI's SDK, both vendors' protocols, what it costs, links."""

import base64
import json
import math
from decimal import Decimal
from typing import Any

import httpx2
import openai
import pytest

from tests.e2e.speaking import TEXT, all_vendors, asked, played, vendors
from tests.e2e.stack import Account, Stack
from tests.fakes.speech import OWN_VOICE, PREMADE, Vendors

__all__ = ["all_vendors", "vendors"]  # fixtures

SECONDS = len(TEXT) / 15
ARIA = PREMADE["voice_id"]


def test_openais_sdk_gets_audio_that_plays_and_costs_its_characters(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    with stack.openai(account) as client:
        raw = client.audio.speech.with_raw_response.create(
            model="plain/tts", voice="alloy", input=TEXT
        )

    seconds, kind, _ = played(raw.content)
    assert kind == "MP3/MPEG_LAYER_III"
    assert seconds == pytest.approx(SECONDS, abs=0.2)
    assert raw.headers["content-type"] == "audio/mpeg"
    assert raw.headers["x-ccapi-attempts"] == "plain/tts=200"
    receipt = stack.generation(account, raw.headers["x-ccapi-generation-id"])
    assert Decimal(receipt["cost"]) == Decimal("20.00") * len(TEXT) / 1_000_000
    assert receipt["usage"]["characters"] == len(TEXT)
    assert (receipt["usage_source"], receipt["status"]) == ("request", "ok")
    assert (receipt["endpoint"], receipt["http_status"]) == ("speech", 200)
    sent = vendors.requests[0]
    assert sent.body == {
        "model": "tts-1",
        "input": TEXT,
        "voice": "alloy",
        "response_format": "mp3",
    }


def test_openais_sdk_streams_it_as_it_comes(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    vendors.pace_s = 0.02
    with stack.openai(account) as client:
        answer = client.audio.speech.with_streaming_response.create(
            model="eleven/spoken",
            voice="aria",
            input=TEXT * 3,
            response_format="pcm",
            speed=1.1,
            extra_body={"voice_settings": {"stability": 0.4}},
        )
        with answer as stream:
            pieces = list(stream.iter_bytes())

    assert len(pieces) > 5, "it came at once"
    seconds, _, _ = played(b"".join(pieces), rate=24_000)
    assert seconds == pytest.approx(3 * SECONDS / 1.1, abs=0.1)
    sent = vendors.requests[0]
    assert sent.path == f"/elevenlabs/v1/text-to-speech/{ARIA}/stream"
    assert sent.query == {"output_format": "pcm_24000"}
    assert sent.body["voice_settings"] == {"stability": 0.4, "speed": 1.1}
    assert sent.body["model_id"] == "eleven_turbo_v2"


@pytest.mark.parametrize(
    ("model", "name", "kind", "is_whole"),
    [
        ("plain/tts", "mp3", "MP3/MPEG_LAYER_III", False),
        ("plain/tts", "wav", "WAV/PCM_16", False),
        ("plain/tts", "flac", "FLAC/PCM_16", False),
        ("plain/tts", "opus", "OGG/OPUS", False),
        ("plain/tts", "ogg", "OGG/OPUS", False),
        ("eleven/spoken", "mp3", "MP3/MPEG_LAYER_III", False),
        ("eleven/spoken", "opus", "OGG/OPUS", False),
        ("eleven/spoken", "wav", "WAV/PCM_16", True),
        ("eleven/spoken", "flac", "FLAC/PCM_16", True),
    ],
)
def test_every_format_is_what_it_says(
    stack: Stack,
    vendors: Vendors,
    account: Account,
    model: str,
    name: str,
    kind: str,
    is_whole: bool,
) -> None:
    voice = "Aria" if model.startswith("eleven") else "nova"
    with stack.http(account) as client:
        answer = client.post("/audio/speech", json=asked(model, voice=voice, output_format=name))

    assert answer.status_code == 200, answer.text
    seconds, found, rate = played(answer.content)
    assert found == kind
    assert seconds == pytest.approx(SECONDS, abs=0.2)
    assert rate in (24_000, 44_100, 48_000)
    # Converted, it is whole, and what it cost is known when its head goes out.
    assert ("x-ccapi-cost" in answer.headers) == is_whole
    assert ("content-length" in answer.headers) == is_whole


def test_a_format_of_the_vendors_own_passes_and_others_refuse_it(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    with stack.http(account) as client:
        body = asked("eleven/spoken", voice="aria", output_format="pcm_16000")
        good = client.post("/v1/audio/speech", json=body)
        other = client.post("/v1/audio/speech", json=asked(output_format="pcm_16000"))
        aac = client.post(
            "/v1/audio/speech", json=asked("eleven/spoken", voice="aria", output_format="aac")
        )
        plain = client.post("/v1/audio/speech", json=asked(response_format="aac"))

    assert played(good.content, rate=16_000)[0] == pytest.approx(SECONDS, abs=0.1)
    assert good.headers["content-type"] == "audio/pcm; rate=16000"
    assert (other.status_code, aac.status_code, plain.status_code) == (400, 400, 200)
    assert aac.json()["error"]["details"]["formats"] == [
        *("mp3", "opus", "ogg", "pcm", "wav", "flac")
    ]
    assert plain.headers["content-type"] == "audio/aac"
    assert len(vendors.requests) == 2


@pytest.mark.parametrize("name", ["mp3", "wav", "aac", "pcm"])
def test_base64_comes_with_its_length_its_size_and_its_price(
    stack: Stack, vendors: Vendors, account: Account, name: str
) -> None:
    with stack.http(account) as client:
        answer = client.post(
            "/v1/audio/speech", json=asked(output_format=name, response_format="b64_json")
        )

    told = answer.json()
    data = told["data"]
    audio = base64.b64decode(data["b64_json"])
    assert told["object"] == "audio.speech"
    assert (told["model"], told["provider"]) == ("plain/tts", "plain")
    assert told["id"] == answer.headers["x-ccapi-generation-id"]
    assert data["bytes"] == len(audio)
    assert data["format"] == name
    assert data["duration_seconds"] == pytest.approx(SECONDS, abs=0.2)
    assert told["usage"] == {"characters": 44, "cost": 0.00088}
    assert answer.headers["x-ccapi-cost"] == "0.00088"
    assert not stack.generation(account, told["id"])["stream"]


def test_events_carry_the_audio_and_the_usage_by_which_it_is_charged(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    with stack.http(account) as client:
        answer = client.post("/v1/audio/speech", json=asked("plain/tokens", stream_format="sse"))
        plain = client.post("/v1/audio/speech", json=asked("plain/tokens"))
        vendors.on("gpt-4o-mini-tts", "no_usage")
        guessed = client.post("/v1/audio/speech", json=asked("plain/tokens"))

    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    audio = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert played(audio)[0] == pytest.approx(SECONDS, abs=0.2)
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    usage = events[-1]["usage"]
    assert events[-1]["type"] == "speech.audio.done"
    assert (usage["input_tokens"], usage["output_tokens"]) == (44, 440)
    cost = Decimal("0.60") * 44 / 1_000_000 + Decimal("12") * 440 / 1_000_000
    assert Decimal(str(usage["cost"])) == cost
    # The same, whether its client wants events or not.
    assert played(plain.content) == played(audio)
    receipts = [
        stack.generation(account, each.headers["x-ccapi-generation-id"])
        for each in (answer, plain, guessed)
    ]
    assert [Decimal(each["cost"]) for each in receipts[:2]] == [cost, cost]
    assert [each["usage_source"] for each in receipts] == ["provider", "provider", "heuristic"]
    assert receipts[2]["outcome"] == "estimated"
    assert 0 < Decimal(receipts[2]["cost"]) < 2 * cost
    assert all(sent.body["stream_format"] == "sse" for sent in vendors.requests)


def test_a_link_leads_to_the_recording(stack: Stack, vendors: Vendors, account: Account) -> None:
    with stack.http(account) as client:
        answer = client.post(
            "/v1/audio/speech",
            json=asked("eleven/spoken", voice="aria", output_format="wav", response_format="url"),
        )

    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert data["url"].startswith(stack.webs[0].url)
    found = httpx2.get(data["url"])
    assert found.headers["content-type"] == data["content_type"] == "audio/wav"
    assert played(found.content)[0] == pytest.approx(SECONDS, abs=0.1)
    assert len(found.content) == data["bytes"]
    assert data["expires_at"] > answer.json()["created"]


def test_voices_go_by_name_by_id_and_by_the_accounts_own_list(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    own = OWN_VOICE["voice_id"]
    wanted: list[Any] = ["ARIA", ARIA, {"id": own}, "storyteller", own]
    with stack.http(account) as client:
        answers = [
            client.post("/v1/audio/speech", json=asked("eleven/spoken", voice=voice))
            for voice in wanted
        ]
        unknown = client.post("/v1/audio/speech", json=asked("eleven/spoken", voice="Arai"))
        strange = client.post("/v1/audio/speech", json=asked(voice="verse"))
        any_name = client.post("/v1/audio/speech", json=asked("other/any", voice="who/ever"))
        sly = client.post("/v1/audio/speech", json=asked("eleven/spoken", voice={"id": "../v1"}))

    assert [each.status_code for each in answers] == [200] * 5
    paths = [sent.path.split("/")[4] for sent in vendors.requests[:5]]
    assert paths == [ARIA, ARIA, own, own, own]
    assert (unknown.status_code, strange.status_code, sly.status_code) == (400, 400, 400)
    error = unknown.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_parameter", "voice")
    assert "aria" in error["details"]["similar"]
    # tts-1 has no such voice, though a newer model does.
    assert "alloy" in strange.json()["error"]["message"]
    assert any_name.status_code == 200
    assert vendors.requests[-1].body["voice"] == "who/ever"
    stack.wait_for_no_holds()


def test_voices_are_listed_free_of_charge(stack: Stack, vendors: Vendors, account: Account) -> None:
    with stack.http(account) as client:
        every = client.get("/audio/voices").json()["data"]
        of_model = client.get("/v1/audio/voices", params={"model": "plain/tts"}).json()
        of_provider = client.get("/v1/audio/voices", params={"provider": "eleven"}).json()
        wrong = [
            client.get("/v1/audio/voices", params=query).status_code
            for query in ({"model": "alpha/one"}, {"model": "no/model"}, {"provider": "nobody"})
        ]
        posted = client.post("/v1/audio/voices")
    with stack.http(None) as nobody:
        strangers = nobody.get("/v1/audio/voices")

    assert [voice["name"] for voice in of_model["data"]] == sorted(
        ["alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer"]
    )
    assert of_model["data"][0] == {
        "id": "alloy",
        "object": "voice",
        "name": "alloy",
        "description": "",
        "provider": "plain",
        "models": ["plain/tts"],
    }
    named = {voice["name"]: voice for voice in of_provider["data"]}
    assert named["Aria"]["id"] == ARIA
    assert OWN_VOICE["name"] in named
    assert {voice["provider"] for voice in every} >= {"plain", "eleven", "drained"}
    assert wrong == [400, 404, 404]
    assert (posted.status_code, strangers.status_code) == (405, 401)


def test_what_is_wrong_is_said_by_name_before_any_provider(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"input": None}, "input"),
        ({"input": "  "}, "input"),
        ({"input": "a" * 4097}, "input"),
        ({"voice": None}, "voice"),
        ({"voice": {"name": "x"}}, "voice.id"),
        ({"model": None}, "model"),
        ({"response_format": "mp4"}, "response_format"),
        ({"output_format": "wav", "response_format": "mp3"}, "response_format"),
        ({"response_format": "b64_json", "stream_format": "sse"}, "stream_format"),
        ({"speed": 9}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"voice_settings": {"stability": 1}}, "voice_settings.stability"),
        ({"model": "eleven/spoken", "voice": "aria", "speed": 2}, "speed"),
        ({"model": "eleven/spoken", "voice": "aria", "instructions": "x"}, "instructions"),
        (
            {"model": "eleven/spoken", "voice": "aria", "voice_settings": {"style": "a"}},
            "voice_settings.style",
        ),
        ({"model": "alpha/one"}, "model"),
    ]
    with stack.http(account) as client:
        answers = [client.post("/v1/audio/speech", json=asked(**more)) for more, _ in wrong]
        chat = client.post(
            "/v1/chat/completions",
            json={"model": "plain/tts", "messages": [{"role": "user", "content": "Hi."}]},
        )

    assert [each.status_code for each in (*answers, chat)] == [400] * (len(wrong) + 1)
    assert [each.json()["error"]["param"] for each in answers] == [param for _, param in wrong]
    assert not vendors.requests


def test_what_a_provider_takes_no_notice_of_is_told(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    with stack.http(account) as client:
        answer = client.post("/v1/audio/speech", json=asked(instructions="Whisper."))
        heard = client.post("/v1/audio/speech", json=asked("plain/tokens", instructions="Whisper."))

    assert answer.headers["x-ccapi-dropped"] == "instructions"
    assert "x-ccapi-dropped" not in heard.headers
    assert "instructions" not in vendors.requests[0].body
    assert vendors.requests[1].body["instructions"] == "Whisper."


def test_an_empty_wallet_hears_nothing(stack: Stack, vendors: Vendors) -> None:
    broke = stack.account("0.000001")
    with stack.openai(broke) as client, pytest.raises(openai.APIStatusError) as refused:
        client.audio.speech.create(model="plain/tts", voice="alloy", input=TEXT)

    assert refused.value.status_code == 402
    assert refused.value.response.json()["error"]["details"]["required"] == "0.00088"
    assert not vendors.requests


def test_speech_counts_against_the_limits_of_its_key(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    with stack.http(account) as client:
        made = client.post("/v1/keys", json={"name": "slow", "limits": {"rpm": 1}}).json()
    slow = Account(organization=account.organization, api_key=made["key"])
    with stack.http(slow) as client:
        first = client.post("/v1/audio/speech", json=asked())
        second = client.post("/v1/audio/speech", json=asked())

    assert (first.status_code, second.status_code) == (200, 429)
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    assert second.json()["error"]["code"] == "requests_per_minute"
    assert int(second.headers["retry-after"]) >= 1
    assert len(vendors.requests) == 1


def test_many_recordings_are_charged_to_the_character(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    texts = [f"Number {number}: " + "ä" * number for number in range(1, 13)]
    with stack.http(account) as client:
        for text in texts:
            body = {**asked("eleven/spoken", voice="aria"), "input": text}
            assert client.post("/v1/audio/speech", json=body).status_code == 200
        stack.wait_for_no_holds()
        left = Decimal(client.get("/v1/credits").json()["balance"])

    spent = sum(math.ceil(Decimal(len(text)) * 10_000) for text in texts)  # nano-dollars
    assert Decimal("1.00") - left == Decimal(spent) / 1_000_000_000


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mp3", "MP3/MPEG_LAYER_III"),
        ("wav", "WAV/PCM_16"),
        ("ogg", "OGG/VORBIS"),
        ("opus", "OGG/OPUS"),
        ("flac", "FLAC/PCM_16"),
    ],
)
def test_the_local_voice_is_heard_through_openais_sdk(
    stack: Stack, vendors: Vendors, account: Account, name: str, kind: str
) -> None:
    with stack.openai(account) as client:
        raw = client.audio.speech.with_raw_response.create(
            model="studio/heart",
            voice="heart",
            input=TEXT,
            extra_body={"output_format": name},
        )

    seconds, found, rate = played(raw.content)
    assert (found, rate) == (kind, 24_000)
    assert 2 < seconds < 5
    receipt = stack.generation(account, raw.headers["x-ccapi-generation-id"])
    assert receipt["usage"]["characters"] == len(TEXT)
    assert Decimal(receipt["cost"]) == Decimal("0.10") * len(TEXT) / 1_000_000
