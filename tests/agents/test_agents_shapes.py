"""What agents really send, at providers of each protocol; for those who have none installed.

Seen in `test_agents_for_real`, with the versions that `tests/wire/agents/README.md` names:

- Codex (`POST {base}/responses`; `authorization`, `originator`, `session-id`, `x-codex-*`): always
  streams, `store: false`, `include: [reasoning.encrypted_content]`, `client_metadata`,
  `prompt_cache_key`; developer messages with ids. Tools are functions, `custom` (apply_patch),
  `namespace`, `tool_search`, `web_search`. Newer models get all tools as an input item
  `additional_tools`; calls have a `namespace`.
- Gemini CLI (`POST …:streamGenerateContent?alt=sse`; `x-goog-api-key`): `parametersJsonSchema`,
  `thinkingConfig`; makes ids for calls that have none; sends no part that is a thought.
- Claude Code (`HEAD {base}/`, `POST /v1/messages?beta=true`; `authorization`, `anthropic-beta`,
  `x-stainless-*`): system arrays with cache marks, a `system` message in mid-conversation,
  `context_management`, `output_config`, two dozen tools with `$schema`, JSON in
  `metadata.user_id`; results in the order in which the tools were done.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from ccapi.core.usage import Usage
from gateway.ir.events import Completed, Started, Stopped, ToolCallDelta, ToolCallStarted
from gateway.ir.request import Request, ToolCall
from gateway.ir.response import Choice, Response
from gateway.protocols.base import Told
from gateway.protocols.registry import CODECS
from tests.agents.vendors.registry import VENDORS
from tests.agents.vendors.vendor import Seen
from tests.matrix.passage import COSTS, NAMES, TOLD, sent, spoken
from tests.matrix.test_matrix_requests import validate

WIRE = Path(__file__).parents[1] / "wire" / "agents"
CLIENTS = {
    "codex": "openai_responses",
    "codex_namespaces": "openai_responses",
    "gemini": "gemini",
    "claude": "anthropic",
}
each_upstream = pytest.mark.parametrize("upstream", NAMES)


def asked(agent: str) -> Request:
    return spoken(CODECS[CLIENTS[agent]], (WIRE / f"{agent}.json").read_bytes(), stream=True)


def reached(agent: str, upstream: str) -> tuple[dict[str, Any], Seen, tuple[str, ...]]:
    """The body at a provider, what a model sees there, and what was left out."""
    encoded = sent(upstream, asked(agent))
    body: dict[str, Any] = json.loads(encoded.body)
    return body, VENDORS[upstream].read(body), encoded.dropped


@each_upstream
@pytest.mark.parametrize("agent", CLIENTS)
def test_an_agents_request_is_valid_at_every_provider_with_its_results_in_place(
    agent: str, upstream: str
) -> None:
    body, seen, _ = reached(agent, upstream)

    validate(upstream, body)
    results = [result.splitlines()[-1].rpartition("\t")[2] for result in seen.results]
    wanted = {
        "codex": ["it's a", "it's b", "Success.", "{}"],
        "codex_namespaces": [results[0]],
    }.get(agent, ["it's a", "it's b"])
    assert results == wanted
    assert "it's" in seen.results[0]


@each_upstream
def test_codexs_own_tools_are_left_out_where_a_provider_lacks_them(upstream: str) -> None:
    _, seen, dropped = reached("codex", upstream)
    names = [tool.name for tool in seen.tools]

    if upstream == "openai_responses":
        assert names == ["exec_command", "apply_patch", "wait_agent", "tool_search", "web_search"]
        assert [tool.namespace for tool in seen.tools if tool.namespace] == ["multi_agent_v1"]
        return
    assert names == ["exec_command", "apply_patch", "multi_agent_v1__wait_agent"]
    assert {"tools.tool_search", "tools.web_search"} <= set(dropped)


@each_upstream
def test_tools_among_the_items_are_tools_like_others(upstream: str) -> None:
    _, seen, _ = reached("codex_namespaces", upstream)

    named = [(tool.namespace, tool.name) for tool in seen.tools]
    if upstream == "openai_responses":
        assert named == [
            ("functions", "exec"),
            ("functions", "wait"),
            ("multi_agent_v1", "wait_agent"),
        ]
    else:
        joined = ["functions__exec", "functions__wait", "multi_agent_v1__wait_agent"]
        assert named == [("", name) for name in joined]


@each_upstream
def test_an_earlier_call_in_a_namespace_is_named_as_the_tool_is(upstream: str) -> None:
    body, _, _ = reached("codex_namespaces", upstream)

    if upstream == "openai_responses":
        call = next(item for item in body["input"] if item.get("type") == "custom_tool_call")
        assert (call["namespace"], call["name"]) == ("functions", "exec")
        assert call["input"] == "text('it\\'s');"
    else:
        assert json.dumps(body).count('"functions__exec"') >= 2


CALLS = (
    ToolCall(id="call_1", name="functions__exec", arguments='{"input": "it\'s"}', index=0),
    ToolCall(id="call_2", name="multi_agent_v1__wait_agent", arguments="{}", index=1),
)
KNOWN = [
    {"type": "custom_tool_call", "namespace": "functions", "name": "exec", "input": "it's"},
    {
        "type": "function_call",
        "namespace": "multi_agent_v1",
        "name": "wait_agent",
        "arguments": "{}",
    },
]


def known(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: item[key] for key in wanted} for item, wanted in zip(items, KNOWN, strict=True)]


def test_a_whole_answers_calls_come_back_as_codex_knows_them() -> None:
    told = Told(id="gen-1", model="m", provider="p", created=1, request=asked("codex_namespaces"))
    response = Response(
        id="a", model="m", created=1, choices=(Choice(parts=CALLS, stop="tool_calls"),)
    )

    body = CODECS["openai_responses"].encode_response(response, told, Usage(), COSTS)

    assert known(json.loads(body)["output"]) == KNOWN


def test_a_streams_calls_come_back_as_codex_knows_them() -> None:
    encoder = CODECS["openai_responses"].stream_encoder(asked("codex_namespaces"), TOLD)
    out = encoder.encode(Started(id="a", model="m", created=1))
    for call in CALLS:
        out += encoder.encode(ToolCallStarted(index=call.index, id=call.id, name=call.name))
        out += encoder.encode(ToolCallDelta(index=call.index, arguments=call.arguments))
    for event in (Stopped(reason="tool_calls"), Completed()):
        out += encoder.encode(event)
    out += encoder.end(Usage(), COSTS)

    events = [json.loads(line[6:]) for line in out.splitlines() if line.startswith(b"data: ")]

    done = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    assert known(done) == KNOWN
    assert known(events[-1]["response"]["output"]) == KNOWN


def test_a_tool_that_is_forced_is_never_left_out() -> None:
    fields = json.loads((WIRE / "codex.json").read_text())
    forced = json.dumps(fields | {"tool_choice": {"type": "web_search"}}).encode()

    request = spoken(CODECS["openai_responses"], forced)

    assert not any(getattr(tool, "optional", False) for tool in request.tools)


@pytest.mark.parametrize("upstream", ["gemini", "ollama"])
def test_results_that_claude_code_sends_the_fastest_first_have_the_order_of_their_calls(
    upstream: str,
) -> None:
    body, _, _ = reached("claude", upstream)

    if upstream == "ollama":
        results = [each for each in body["messages"] if each["role"] == "tool"]
        assert [each["tool_name"] for each in results] == ["Read", "Read"]
        assert [each["tool_call_id"] for each in results] == ["call_1", "call_2"]
    else:
        parts = [part for content in body["contents"] for part in content["parts"]]
        given = [part["functionResponse"] for part in parts if "functionResponse" in part]
        assert [each["id"] for each in given] == ["call_1", "call_2"]
