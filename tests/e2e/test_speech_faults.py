"""What breaks while something is said: before the first audio another speaks, after it, no lie."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.e2e.speaking import TEXT, all_vendors, asked, played, vendors
from tests.e2e.stack import Account, Stack, Web
from tests.fakes.speech import Vendors

__all__ = ["all_vendors", "vendors"]  # fixtures

LONG = " ".join([TEXT] * 8)


def failing_over(**more: object) -> dict[str, Any]:
    """ElevenLabs first; the other vendor has no voice of that name, and any is a name to it."""
    return asked("eleven/spoken", models=["other/any"], voice="aria", **more)


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        ("error", "500"),
        ("busy", "503"),
        ("limited", "429"),
        ("quota", "401"),
        ("bad_key", "401"),
        ("empty", "502"),
        ("html", "502"),
        ("json", "502"),
        ("reset", "502"),
        ("silent", "504"),
        ("wrong_format", "502"),
    ],
)
def test_before_the_first_audio_another_takes_over(
    stack: Stack, vendors: Vendors, account: Account, behaviour: str, status: str
) -> None:
    vendors.on("eleven_turbo_v2", behaviour)
    with stack.http(account) as client:
        answer = client.post("/v1/audio/speech", json=failing_over())

    assert answer.status_code == 200, answer.text
    assert played(answer.content)[1] == "MP3/MPEG_LAYER_III"
    assert answer.headers["x-ccapi-attempts"].endswith(";other/any=200")
    first = answer.headers["x-ccapi-attempts"].split(";")[0]
    assert first == f"eleven/spoken={status}"
    receipt = stack.generation(account, answer.headers["x-ccapi-generation-id"])
    assert receipt["cost"] == "0.00088"  # the second one's price alone
    assert receipt["model"] == "other/any"


def test_a_head_without_speech_is_nothing(stack: Stack, vendors: Vendors, account: Account) -> None:
    vendors.on("tts-1", "header_only")
    with stack.http(account) as client:
        answer = client.post("/v1/audio/speech", json=asked(response_format="wav"))

    assert answer.status_code == 502
    stack.wait_for_no_holds()
    assert stack.balance(account)[0] == 1_000_000_000


def test_a_candidate_that_cannot_say_it_is_passed_over(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    with stack.http(account) as client:
        voice = client.post(
            "/v1/audio/speech", json=asked("plain/tts", models=["eleven/spoken"], voice="Rachel")
        )
        kind = client.post("/v1/audio/speech", json=failing_over(output_format="aac"))

    assert voice.status_code == 200, voice.text
    assert voice.headers["x-ccapi-attempts"] == "plain/tts=400;eleven/spoken=200"
    assert kind.headers["x-ccapi-attempts"] == "eleven/spoken=400;other/any=200"


def test_what_is_wrong_for_every_provider_moves_nobody(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    vendors.on("eleven_turbo_v2", "invalid")
    with stack.http(account) as client:
        answer = client.post("/v1/audio/speech", json=failing_over())

    assert answer.status_code == 400
    assert "body.text: Field required" in answer.json()["error"]["message"]
    assert len(vendors.requests) == 1


def test_our_empty_account_is_never_told_as_the_customers(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    vendors.on("eleven_turbo_v2", "quota")
    with stack.http(account) as client:
        answer = client.post("/v1/audio/speech", json=asked("eleven/spoken", voice="aria"))

    assert answer.status_code == 502
    error = answer.json()["error"]
    assert error["code"] == "provider_misconfigured"
    assert "quota" not in answer.text
    assert error["details"]["attempts"][0]["status"] == 401
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000, 0)


@pytest.mark.parametrize(("model", "behaviour"), [("tts-1", "cut"), ("tts-1", "stall")])
def test_a_recording_that_breaks_off_never_looks_whole(
    stack: Stack, vendors: Vendors, account: Account, model: str, behaviour: str
) -> None:
    vendors.on(model, behaviour)
    got: list[bytes] = []
    body = {**asked(models=["other/any"]), "input": LONG}
    with (
        stack.http(account) as client,
        client.stream("POST", "/v1/audio/speech", json=body) as answer,
        pytest.raises(httpx2.TransportError),
    ):
        got.extend(answer.iter_raw())

    assert answer.status_code == 200
    assert got
    assert len(vendors.requests) == 1, "after the first audio nobody takes over"
    receipt = stack.generation(account, answer.headers["x-ccapi-generation-id"])
    # All of the text was read, and part of it delivered.
    assert receipt["usage"]["characters"] == len(LONG)
    assert receipt["outcome"] == "partial"
    assert receipt["status"] == ("timeout" if behaviour == "stall" else "upstream_error")
    assert receipt["error_code"] in ("upstream_error", "upstream_unreachable", "upstream_timeout")


@pytest.mark.parametrize("behaviour", ["cut", "event_error", "no_end"])
def test_events_that_break_off_end_with_an_error_and_not_with_done(
    stack: Stack, vendors: Vendors, account: Account, behaviour: str
) -> None:
    vendors.on("gpt-4o-mini-tts", behaviour)
    with stack.http(account) as client:
        answer = client.post(
            "/v1/audio/speech",
            json={**asked("plain/tokens", stream_format="sse"), "input": LONG},
        )

    assert "speech.audio.done" not in answer.text
    assert '"error"' in answer.text.splitlines()[-2]
    stack.wait_for_no_holds()  # the first count starts the tokenizer's process
    receipt = stack.generation(account, answer.headers["x-ccapi-generation-id"])
    assert (receipt["outcome"], receipt["usage_source"]) == ("partial", "heuristic")
    assert float(receipt["cost"]) > 0


@pytest.mark.parametrize("response_format", ["b64_json", "wav"])
def test_what_must_be_whole_costs_nothing_where_it_breaks_and_another_makes_it(
    stack: Stack, vendors: Vendors, account: Account, response_format: str
) -> None:
    vendors.on("eleven_turbo_v2", "cut")
    with stack.http(account) as client:
        body = {**failing_over(response_format=response_format), "input": LONG}
        answer = client.post("/v1/audio/speech", json=body)
        alone = client.post(
            "/v1/audio/speech",
            json={**asked("eleven/spoken", voice="aria", response_format="wav"), "input": LONG},
        )

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ccapi-attempts"].endswith(";other/any=200")
    receipt = stack.generation(account, answer.headers["x-ccapi-generation-id"])
    assert float(receipt["cost"]) == pytest.approx(len(LONG) * 20e-6)
    assert alone.status_code == 502
    stack.wait_for_no_holds()


@pytest.mark.parametrize("model", ["eleven/spoken", "drained/spoken"])
def test_a_client_that_leaves_is_charged_by_its_providers_policy(
    stack: Stack, vendors: Vendors, account: Account, model: str
) -> None:
    vendors.pace_s = 0.05
    body = {**asked(model, voice="aria"), "input": LONG}
    with stack.http(account) as client, client.stream("POST", "/v1/audio/speech", json=body) as got:
        next(got.iter_raw())
        generation = got.headers["x-ccapi-generation-id"]

    deadline = time.monotonic() + 10
    while stack.rows("SELECT 1 FROM hold LIMIT 1"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    receipt = stack.generation(account, generation)
    assert receipt["status"] == "client_cancelled"
    assert receipt["usage"]["characters"] == len(LONG)
    drained = model.startswith("drained")
    assert receipt["outcome"] == ("captured" if drained else "partial")
    time.sleep(0.2)
    assert vendors.hangups == (0 if drained else 1)


def test_a_list_of_voices_that_does_not_come_leaves_the_published_ones(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    vendors.voices_fail = True
    with stack.http(account) as client:
        known = client.post("/v1/audio/speech", json=asked("drained/spoken", voice="sarah"))
        listed = client.get("/v1/audio/voices", params={"provider": "drained"})
        unknown = client.post("/v1/audio/speech", json=asked("drained/spoken", voice="nobody"))

    assert known.status_code == 200
    assert listed.status_code == 200
    assert any(voice["name"] == "Sarah" for voice in listed.json()["data"])
    assert unknown.status_code == 400


def ended_after_the_first(pieces: Iterator[bytes], web: Web) -> Iterator[bytes]:
    yield next(pieces)
    web.process.terminate()
    yield from pieces


def test_a_process_that_ends_cuts_what_is_being_said(
    stack: Stack, vendors: Vendors, account: Account
) -> None:
    vendors.pace_s = 0.3
    web = stack.web(CCAPI_SHUTDOWN_S="0.3", CCAPI_SHUTDOWN_ACCEPT_S="0.1")
    got: list[bytes] = []
    body = {**asked(), "input": LONG}
    with (
        stack.http(account, web) as client,
        client.stream("POST", "/v1/audio/speech", json=body) as answer,
        pytest.raises(httpx2.TransportError),
    ):
        got.extend(ended_after_the_first(answer.iter_raw(), web))

    web.process.wait(15)
    assert got
    receipt = stack.generation(account, answer.headers["x-ccapi-generation-id"])
    assert (receipt["status"], receipt["outcome"]) == ("server_shutdown", "partial")
    assert receipt["usage"]["characters"] == len(LONG)
