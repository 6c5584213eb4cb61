"""Every request of every client protocol to every upstream: the same meaning, or a told loss."""

import json
from typing import Any

import pytest
from anthropic.types.beta.message_create_params import (
    MessageCreateParamsNonStreaming,
    MessageCreateParamsStreaming,
)
from google.genai import types as gemini_types
from ollama._types import ChatRequest
from openai.types.chat import completion_create_params
from openai.types.responses import ResponseInputAudio, response_create_params
from pydantic import TypeAdapter

from ccapi.core.errors import UnsupportedParameter
from gateway.ir.request import Request
from gateway.protocols.base import Encoded
from gateway.protocols.registry import CODECS
from tests.matrix.losses import CHANGED, DROPPED, REFUSED, told_in
from tests.matrix.meaning import lost, meaning
from tests.matrix.passage import NAMES, Loose, sent, spoken
from tests.matrix.requests import REQUESTS

each_scenario = pytest.mark.parametrize("scenario", REQUESTS)
each_upstream = pytest.mark.parametrize("upstream", NAMES)

_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "openai": TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming),
    "openai_responses": TypeAdapter(response_create_params.ResponseCreateParamsNonStreaming),
}
_ANTHROPIC: dict[bool, TypeAdapter[Any]] = {
    False: TypeAdapter(MessageCreateParamsNonStreaming),
    True: TypeAdapter(MessageCreateParamsStreaming),
}


def refused(scenario: str, upstream: str, request: Request) -> bool:
    """Whether the table expects a refusal; then it comes, and names the parameter."""
    param = REFUSED.get(scenario, {}).get(upstream, "")
    if not param:
        return False
    with pytest.raises(UnsupportedParameter) as refusal:
        sent(upstream, request)
    assert (refusal.value.param or "").startswith(param)
    return True


def losses(before: Request, upstream: str) -> tuple[set[str], Encoded]:
    encoded = sent(upstream, before)
    after = spoken(CODECS[upstream], encoded.body, stream=before.stream)
    gone = lost(before, after)
    if _kept_extras(before, after):
        gone.discard("extras")
    return gone, encoded


def _kept_extras(before: Request, after: Request) -> bool:
    """An upstream's own additions (`store`, …) are no loss."""
    was, became = meaning(before)["extras"], meaning(after)["extras"]
    return all(
        name in became.get(protocol, {}) for protocol, fields in was.items() for name in fields
    )


@each_upstream
@each_scenario
def test_a_request_reaches_an_upstream_with_the_listed_losses_alone(
    upstream: str, scenario: str
) -> None:
    request = REQUESTS[scenario]
    if refused(scenario, upstream, request):
        return

    gone, encoded = losses(request, upstream)

    dropped = DROPPED.get(scenario, {}).get(upstream, set())
    changed = CHANGED.get(scenario, {}).get(upstream, set())
    assert gone == dropped | changed
    untold = {aspect for aspect in dropped if not told_in(aspect, encoded.dropped)}
    assert not untold, encoded.dropped


@each_upstream
@each_scenario
def test_a_request_means_the_same_from_every_client(upstream: str, scenario: str) -> None:
    for client in NAMES:
        if client in REFUSED.get(scenario, {}):
            continue  # nothing that a client of this protocol could ask for
        wire = sent(client, REQUESTS[scenario]).body
        asked = spoken(CODECS[client], wire, stream=REQUESTS[scenario].stream)
        said_otherwise = lost(REQUESTS[scenario], asked)
        if said_otherwise <= {"extras", "tools"} and refused(scenario, upstream, asked):
            continue

        gone, encoded = losses(asked, upstream)

        dropped = DROPPED.get(scenario, {}).get(upstream, set())
        changed = CHANGED.get(scenario, {}).get(upstream, set())
        # What the client's own protocol could not say, or says otherwise, is another request; and
        # what it says in a vendor's own words beside ours (`extras`) goes to that vendor alone.
        assert gone <= dropped | changed | said_otherwise | {"extras"}, client
        assert gone >= dropped - said_otherwise - {"extras"}, client
        assert encoded.dropped or "extras" not in gone, client


@each_upstream
@each_scenario
def test_what_an_upstream_gets_is_valid_by_the_types_of_its_sdk(
    upstream: str, scenario: str
) -> None:
    try:
        encoded = sent(upstream, REQUESTS[scenario])
    except UnsupportedParameter:
        assert upstream in REFUSED[scenario]
        return

    validate(upstream, json.loads(encoded.body))


def validate(upstream: str, body: Loose) -> None:
    """By the vendor's own types, those that forbid what they do not know included."""
    match upstream:
        case "openai" | "openai_responses":
            body["stream"] = False
            _without_audio(body.get("input") or [])
            _ADAPTERS[upstream].validate_python(body)
        case "anthropic":
            _ANTHROPIC[bool(body.get("stream"))].validate_python(body)
        case "ollama":
            for message in body["messages"]:
                # The SDK's type takes files here; its client writes base64, as we do.
                message.pop("images", None)
            ChatRequest.model_validate(body)
        case "gemini":
            for content in (*body["contents"], body.get("systemInstruction", {})):
                gemini_types.Content.model_validate(content)
            for tool in body.get("tools", []):
                gemini_types.Tool.model_validate(tool)
            gemini_types.ToolConfig.model_validate(body.get("toolConfig", {}))
            gemini_types.GenerationConfig.model_validate(body.get("generationConfig", {}))
        case _:
            pytest.fail(f"No types of a vendor's SDK are known for {upstream}.")


def _without_audio(items: Loose) -> None:
    """The SDK has a type for it, and forgot it in its union of what a message may hold."""
    for item in items if isinstance(items, list) else []:
        if not isinstance(item.get("content"), list):
            continue
        for part in [part for part in item["content"] if part["type"] == "input_audio"]:
            ResponseInputAudio.model_validate(part)
            item["content"].remove(part)


def test_the_table_of_losses_names_scenarios_and_protocols_that_exist() -> None:
    for table in (REFUSED, DROPPED, CHANGED):
        assert table.keys() <= REQUESTS.keys()
        for upstreams in table.values():
            assert upstreams.keys() <= CODECS.keys()
