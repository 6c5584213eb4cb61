"""Ten turns with tools, images and thoughts, another client protocol and provider at each turn."""

import json

import pytest

from gateway.ir.request import Reasoning, Text, ToolCall
from gateway.ir.response import Response
from gateway.protocols.registry import CODECS
from tests.matrix import clients
from tests.matrix.answers import answer, redacted_by
from tests.matrix.clients import KEPT, Turn
from tests.matrix.meaning import meaning
from tests.matrix.passage import NAMES, PAIRS, sent, spoken, told
from tests.matrix.requests import PLACE
from tests.matrix.test_matrix_requests import validate

# Those whose thoughts carry a signature, as each makes it (Gemini's are base64).
SIGNATURES = {
    "anthropic": "c2lnbmF0dXJl{}",
    "gemini": "c2lnbmF0dXJl{}AA",
    "openai_responses": "rs_{}.c2lnbmF0dXJl",
}


def answered_by(upstream: str, turn: int) -> Response:
    """What a provider answers: thoughts, and two calls of one tool, read from its own wire."""
    signature = SIGNATURES.get(upstream, "").format(f"{turn:02}")
    thought = Reasoning(
        text=f"Thought {turn}.", signature=signature, signed_by=upstream if signature else ""
    )
    has_ids = upstream not in ("ollama", "gemini")  # whose servers give calls none, mostly
    calls = [
        ToolCall(
            id=f"id_{turn}_{index}" if has_ids else "",
            name="look",
            arguments=PLACE if index else "{}",
            index=index,
        )
        for index in range(2)
    ]
    response = answer(thought, Text(text=f"Turn {turn}."), *calls, stop="tool_calls")
    wire = json.loads(told(upstream, response))
    wire |= {"id": f"answer_{turn}"} if "id" in wire else {}
    wire |= {"responseId": f"answer_{turn}"} if "responseId" in wire else {}
    wire |= {"created_at": f"2026-01-02T03:04:{turn:02}Z"} if upstream == "ollama" else {}
    return CODECS[upstream].decode_response(json.dumps(wire).encode())


def history(client: str, answers: list[Response]) -> Turn:
    """All that was said so far, as a client of this protocol holds it."""
    turns: Turn = []
    for turn, response in enumerate(answers):
        turns += clients.said(client, f"Question {turn}: it's?", shown=turn % 3 == 0)
        turns += KEPT[client](told(client, response))
        calls = [part for part in response.choices[0].parts if isinstance(part, ToolCall)]
        for index, call in enumerate(calls):
            turns += clients.answered(client, call.id, call.name, f"Result {turn}.{index}")
    return turns + clients.said(client, "And now?", shown=False)


@pytest.mark.parametrize("shift", range(len(NAMES)))
def test_ten_turns_keep_results_images_and_signatures_wherever_they_go(shift: int) -> None:
    answers: list[Response] = []
    makers: list[str] = []
    for turn in range(10):
        client = NAMES[turn % len(NAMES)]
        upstream = NAMES[(turn * 2 + shift) % len(NAMES)]
        asked = spoken(CODECS[client], clients.body(client, history(client, answers)))

        encoded = sent(upstream, asked)

        validate(upstream, json.loads(encoded.body))
        got = meaning(spoken(CODECS[upstream], encoded.body))
        assert got["results"] == [
            (2 * past + index, f"Result {past}.{index}")
            for past in range(turn)
            for index in range(2)
        ]
        assert got["calls"] == [("look", _canonical(at % 2)) for at in range(2 * turn)]
        assert len(got["images"]) == len([past for past in range(turn) if past % 3 == 0])
        assert _ids_are_unique(asked.messages)
        own = [
            (upstream, SIGNATURES[upstream].format(f"{past:02}"))
            for past, maker in enumerate(makers)
            if maker == upstream and upstream in SIGNATURES
        ]
        assert got["signatures"] == own
        answers.append(answered_by(upstream, turn))
        makers.append(upstream)


def _canonical(index: int) -> str:
    return json.dumps(json.loads(PLACE if index else "{}"), sort_keys=True)


def _ids_are_unique(messages: object) -> bool:
    assert isinstance(messages, tuple)
    ids = [part.id for each in messages for part in each.parts if isinstance(part, ToolCall)]
    return len(ids) == len(set(ids))


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_signature_comes_back_to_its_maker_through_every_client(
    client: str, upstream: str
) -> None:
    asked = spoken(
        CODECS[client], clients.body(client, history(client, [answered_by(upstream, 7)]))
    )

    for maker in NAMES:
        encoded = sent(maker, asked)
        found = meaning(spoken(CODECS[maker], encoded.body))["signatures"]
        made = maker == upstream and upstream in SIGNATURES
        assert found == ([(maker, SIGNATURES[maker].format("07"))] if made else [])
        # In no form whatever does it reach a provider that did not make it.
        assert made or b"c2lnbmF0dXJl" not in encoded.body
        assert b"ccapi." not in encoded.body


@pytest.mark.parametrize("client", [name for name in NAMES if name != "ollama"])
def test_redacted_thoughts_come_back_to_anthropic_through_every_client(client: str) -> None:
    response = redacted_by("anthropic", "c2VjcmV0")

    asked = spoken(CODECS[client], clients.body(client, history(client, [response])))

    got = meaning(spoken(CODECS["anthropic"], sent("anthropic", asked).body))
    assert got["signatures"] == [("anthropic", "c2VjcmV0")]


def test_through_ollamas_sdk_results_still_match_though_it_keeps_no_ids_or_signatures() -> None:
    response = answered_by("anthropic", 1)
    turns = [
        *clients.said("ollama", "Look.", shown=True),
        *clients.ollama_sdk_turn(told("ollama", response)),
        *clients.answered("ollama", "", "look", "First."),
        *clients.answered("ollama", "", "look", "Second."),
    ]

    asked = spoken(CODECS["ollama"], clients.body("ollama", turns))

    got = meaning(spoken(CODECS["anthropic"], sent("anthropic", asked).body))
    assert got["results"] == [(0, "First."), (1, "Second.")]
    assert got["signatures"] == []
