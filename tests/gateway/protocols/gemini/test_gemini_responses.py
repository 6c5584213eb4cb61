"""Whole answers, both ways."""

import json

import pytest

from ccapi.core.usage import Usage
from gateway.ir.request import Reasoning, RedactedReasoning, Refusal, Text, ToolCall
from gateway.ir.response import Choice, Response, StopReason
from gateway.protocols.base import GarbledStream
from gateway.protocols.gemini import CODEC
from tests.gateway.protocols.gemini.gemini_kit import (
    COST_FIELDS,
    COSTS,
    TOLD,
    Json,
    decoded,
    plain,
    read_by_sdk,
)

ANSWER = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Hm.", "thought": True},
                    {"text": "I look.", "thoughtSignature": "YWJj"},
                    {"functionCall": {"name": "f", "args": {"a": 1}}},
                ],
            },
            "finishReason": "STOP",
            "index": 0,
            "avgLogprobs": -0.1,
            "logprobsResult": {
                "chosenCandidates": [{"token": "I", "logProbability": -0.5}],
                "topCandidates": [{"candidates": [{"token": "We", "logProbability": -0.9}]}],
            },
        }
    ],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12},
    "modelVersion": "gemini-3",
    "responseId": "r1",
}


def answered(**fields: Json) -> Response:
    return CODEC.decode_response(json.dumps(ANSWER | fields).encode())


def told(response: Response, usage: Usage | None = None) -> Json:
    data = CODEC.encode_response(response, TOLD, usage or Usage(), COSTS)
    read_by_sdk(data)
    return json.loads(data)


def test_an_answer_is_read() -> None:
    response = answered()

    thoughts, text, call = response.choices[0].parts
    assert thoughts == Reasoning(text="Hm.", signature="YWJj", signed_by="gemini")
    assert text == Text(text="I look.")
    assert call == ToolCall(id="call_r1_0", name="f", arguments='{"a": 1}')
    assert (response.id, response.model) == ("r1", "gemini-3")
    assert (response.choices[0].stop, response.choices[0].raw_stop) == ("tool_calls", "STOP")
    logprobs = response.choices[0].logprobs
    assert logprobs is not None
    assert plain(logprobs)["content"][0]["top_logprobs"][0]["logprob"] == -0.9


def test_an_answer_decoded_and_encoded_says_the_same() -> None:
    body = told(answered(), Usage(input=5, output=7))

    again = body["candidates"][0]
    original = ANSWER["candidates"][0]  # type: ignore[index]  # a literal of several types
    assert again["finishReason"] == "STOP"
    assert again["avgLogprobs"] == -0.1
    assert again["logprobsResult"] == original["logprobsResult"]
    assert [sorted(part) for part in again["content"]["parts"]] == [
        ["text", "thought"], ["text"], ["functionCall", "thoughtSignature"]]  # fmt: skip
    assert body["modelVersion"] == "asked/for"
    assert {name: body["usageMetadata"][name] for name in COST_FIELDS} == COST_FIELDS


def test_a_blocked_prompt_is_an_answer_without_content_that_says_why() -> None:
    feedback = {"blockReason": "PROHIBITED_CONTENT"}
    response = CODEC.decode_response(json.dumps({"promptFeedback": feedback}).encode())

    assert not response.has_content()
    assert response.choices == (Choice(stop="content_filter", raw_stop="PROHIBITED_CONTENT"),)
    body = told(response)
    assert body["promptFeedback"] == feedback
    assert "candidates" not in body


@pytest.mark.parametrize("candidates", [None, []])
def test_no_candidates_are_an_empty_answer(candidates: Json) -> None:
    assert not answered(candidates=candidates).has_content()


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error":{"code":500}}', b'{"candidates":1}']
)
def test_what_is_no_answer_is_garbled(body: bytes) -> None:
    with pytest.raises(GarbledStream):
        CODEC.decode_response(body)


@pytest.mark.parametrize("tokens", [7, {"count": 7}])
def test_a_count_may_stand_in_an_object(tokens: Json) -> None:
    usage = answered(usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": tokens}).usage

    assert usage is not None
    assert (usage.input, usage.output) == (5, 7)


def test_a_count_that_is_none_leaves_the_usage_untold() -> None:
    assert answered(usageMetadata={"promptTokenCount": -5}).usage is None


@pytest.mark.parametrize(
    ("stop", "raw", "word"),
    [
        ("stop", "end_turn", "STOP"),
        ("length", "max_tokens", "MAX_TOKENS"),
        ("tool_calls", "tool_use", "STOP"),
        ("content_filter", "RECITATION", "RECITATION"),
        ("refusal", "refusal", "SAFETY"),
        ("other", "LANGUAGE", "LANGUAGE"),
        ("pause", "pause_turn", "OTHER"),
    ],
)
def test_the_reason_is_told_in_geminis_words(stop: StopReason, raw: str, word: str) -> None:
    choice = Choice(parts=(Text(text="x"),), stop=stop, raw_stop=raw)

    body = told(Response(id="", model="", choices=(choice,)))

    assert body["candidates"][0]["finishReason"] == word
    assert body["responseId"] == TOLD.id


def test_thoughts_signed_elsewhere_survive_a_client_of_gemini() -> None:
    parts = (
        Reasoning(text="Hm.", signature="Eo8C+/==", signed_by="anthropic"),
        RedactedReasoning(data="dark", signed_by="anthropic"),
        Refusal(text="No."),
        ToolCall(id="c", name="f", arguments="{}"),
    )

    body = told(Response(id="", model="", choices=(Choice(parts=parts, stop="stop"),)))

    back = decoded(contents=[body["candidates"][0]["content"]]).messages[0].parts
    assert back == (*parts[:2], Text(text="No."), parts[3])


def test_usage_is_told_in_geminis_convention() -> None:
    usage = Usage(
        input=10, cache_read=5, cache_write=3, input_audio=4, output=6, reasoning=9, output_audio=2
    )

    counts = told(Response(id="", model="", choices=()), usage)["usageMetadata"]

    assert counts["promptTokenCount"] == 22
    assert counts["cachedContentTokenCount"] == 5
    assert counts["candidatesTokenCount"] == 8
    assert counts["thoughtsTokenCount"] == 9
    assert counts["totalTokenCount"] == 39
    assert {"modality": "AUDIO", "tokenCount": 4} in counts["promptTokensDetails"]


def test_arguments_that_are_no_object_are_wrapped_not_lost() -> None:
    call = ToolCall(id="c", name="f", arguments='{"a": ')

    body = told(Response(id="", model="", choices=(Choice(parts=(call,)),)))

    args = body["candidates"][0]["content"]["parts"][0]["functionCall"]["args"]
    assert args == {"partial_data": '{"a": '}


@pytest.mark.parametrize("space", ["", " "])
def test_a_direct_answer_keeps_its_bytes_but_for_the_costs(space: str) -> None:
    text = json.dumps(ANSWER, indent=2 if space else None, separators=None if space else (",", ":"))

    data = CODEC.direct_response(text.encode(), TOLD, COSTS)

    gone = data.replace(b',"input_cost":0.000018,"output_cost":0.0001536,"cost":0.0001716', b"", 1)
    assert gone == text.encode()


def test_a_direct_answer_without_usage_gains_one() -> None:
    data = CODEC.direct_response(b'{"candidates":[]}', TOLD, COSTS)

    assert json.loads(data) == {"candidates": [], "usageMetadata": COST_FIELDS}
