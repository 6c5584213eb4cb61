"""A client's Messages body → our request: every field, and faults named by their path."""

from typing import Any

import pytest

from ccapi.core.errors import GatewayError, InvalidParameter, MissingParameter
from gateway.ir.request import (
    CacheMark,
    File,
    Image,
    Media,
    Other,
    OtherTool,
    Reasoning,
    ReasoningConfig,
    RedactedReasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.protocols.anthropic import CODEC
from tests.gateway.protocols.anthropic.anthropic_kit import Json, ask, body_of, decoded, plain


def parts(*blocks: dict[str, Any], role: str = "user") -> tuple[Any, ...]:
    return decoded(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts


def test_sampling_and_limits_are_read_and_a_whole_float_is_a_count() -> None:
    request = decoded(
        max_tokens=100.0, temperature=0.5, top_p=0.9, top_k=40.0, stop_sequences=["\n\nHuman:"]
    )

    assert (request.max_tokens, request.top_k) == (100, 40)
    assert isinstance(request.max_tokens, int)
    assert (request.temperature, request.top_p) == (0.5, 0.9)
    assert request.stop == ("\n\nHuman:",)


def test_system_may_be_a_string_or_blocks_with_cache_marks() -> None:
    assert decoded(system="Be brief.").messages[0].parts == (Text(text="Be brief."),)
    mark = {"type": "ephemeral", "ttl": "1h"}
    blocks = [
        {"type": "text", "text": "A"},
        {"type": "text", "text": "B", "cache_control": mark},
        {"type": "text", "text": "C", "cache_control": {"type": "ephemeral"}},
    ]
    message = decoded(system=blocks).messages[0]
    assert message.role == "system"
    assert message.parts == (
        Text(text="A"),
        Text(text="B", cache=CacheMark("1h")),
        Text(text="C", cache=CacheMark()),
    )


def test_images_come_by_bytes_by_url_and_by_file() -> None:
    assert parts(
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    ) == (
        Image(source=Media(data="aGk=", media_type="image/png")),
        Image(source=Media(url="https://x.test/a.png")),
        Image(source=Media(file_id="file_1")),
    )


def test_documents_and_search_results_are_files_with_their_text() -> None:
    pdf, text, content, found = parts(
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "Report",
            "citations": {"enabled": True},
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "T"}},
        {
            "type": "document",
            "source": {"type": "content", "content": [{"type": "text", "text": "one"}]},
        },
        {
            "type": "search_result",
            "source": "https://x.test",
            "title": "Found",
            "content": [{"type": "text", "text": "two"}],
        },
    )

    assert isinstance(pdf, File)
    assert (pdf.filename, pdf.source.media_type) == ("Report", "application/pdf")
    assert plain(pdf.extras) == {"anthropic": {"citations": {"enabled": True}}}
    assert [part.text for part in (text, content, found)] == ["T", "one", "two"]
    assert found.filename == "Found"


def test_a_tool_loop_keeps_ids_arguments_by_bytes_and_errors() -> None:
    body = ask()
    raw = body_of(body)
    raw["messages"] = type(raw["messages"])(
        b'[{"role":"user","content":"?"},{"role":"assistant","content":['
        b'{"type":"tool_use","id":"t1","name":"a","input":{"x": 1.0,\t"y":"it\'s"}},'
        b'{"type":"tool_use","id":"t2","name":"b","input":{}}]},'
        b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"ok"},'
        b'{"type":"tool_result","tool_use_id":"t2","is_error":true,"content":'
        b'[{"type":"text","text":"no"},{"type":"image","source":{"type":"url","url":"https://x"}}]},'
        b'{"type":"tool_result","tool_use_id":"t3"},{"type":"text","text":"go on"}]}]'
    )

    request = CODEC.decode_request(raw)

    assert request.messages[1].parts == (
        ToolCall(id="t1", name="a", arguments='{"x": 1.0,\t"y":"it\'s"}', index=0),
        ToolCall(id="t2", name="b", arguments="{}", index=1),
    )
    assert request.messages[2].parts == (
        ToolResult(call_id="t1", parts=(Text(text="ok"),)),
        ToolResult(
            call_id="t2",
            is_error=True,
            parts=(Text(text="no"), Image(source=Media(url="https://x"))),
        ),
        ToolResult(call_id="t3"),
        Text(text="go on"),
    )


def test_thoughts_keep_their_signature_and_unknown_blocks_stay_raw() -> None:
    thought, hidden, server = parts(
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xx"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        role="assistant",
    )

    assert thought == Reasoning(text="hm", signature="sig", signed_by="anthropic")
    assert hidden == RedactedReasoning(data="xx", signed_by="anthropic")
    assert isinstance(server, Other)
    assert (server.protocol, server.kind) == ("anthropic", "server_tool_use")
    assert plain(server.raw)["input"] == {"query": "q"}


def test_thoughts_that_another_protocol_signed_come_back_as_its_own() -> None:
    signed, unsigned = parts(
        {"type": "thinking", "thinking": "a", "signature": "ccapi.gemini.Eg.x=="},
        {"type": "thinking", "thinking": "b", "signature": "ccapi.."},
        role="assistant",
    )

    assert signed == Reasoning(text="a", signature="Eg.x==", signed_by="gemini")
    assert unsigned == Reasoning(text="b")


def test_tools_of_the_client_and_of_the_vendor() -> None:
    own, custom, search = decoded(
        tools=[
            {"name": "f", "input_schema": {"type": "object"}, "defer_loading": True},
            {
                "type": "custom",
                "name": "g",
                "description": "G",
                "input_schema": {"type": "object"},
                "strict": True,
                "cache_control": {"type": "ephemeral"},
            },
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
        ]
    ).tools

    assert isinstance(own, Tool)
    assert plain(own.extras) == {"anthropic": {"defer_loading": True}}
    assert isinstance(custom, Tool)
    assert (custom.name, custom.description, custom.strict) == ("g", "G", True)
    assert custom.cache == CacheMark()
    assert isinstance(search, OtherTool)
    assert search.kind == "web_search_20250305"


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, ToolChoice(mode="auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(mode="required"), False),
        ({"type": "none"}, ToolChoice(mode="none"), None),
        ({"type": "tool", "name": "f"}, ToolChoice(mode="tool", name="f"), None),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolChoice(mode="auto"), True),
    ],
)
def test_tool_choice(choice: dict[str, Any], expected: ToolChoice, parallel: bool | None) -> None:
    request = decoded(tool_choice=choice)

    assert request.tool_choice == expected
    assert request.parallel_tool_calls is parallel


def test_thinking_by_budget_off_and_adaptive() -> None:
    assert decoded(thinking={"type": "enabled", "budget_tokens": 2048.0}).reasoning == (
        ReasoningConfig(budget_tokens=2048)
    )
    assert decoded(thinking={"type": "disabled"}).reasoning == ReasoningConfig(enabled=False)
    request = decoded(thinking={"type": "adaptive"}, output_config={"effort": "high"})
    assert request.reasoning == ReasoningConfig(effort="high")
    assert plain(request.extras) == {
        "anthropic": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}
    }


@pytest.mark.parametrize("field", ["output_config", "output_format"])
def test_a_schema_for_the_output_under_its_new_and_old_name(field: str) -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    request = decoded(**{field: {"format": form} if field == "output_config" else form})

    assert request.response_format is not None
    assert plain(request.response_format.schema) == {"type": "object"}
    assert request.extras == {}


def test_fields_nobody_else_has_stand_in_the_extras() -> None:
    request = decoded(
        service_tier="auto",
        mcp_servers=[],
        metadata={"user_id": "u1"},
        container=None,
        models=["a/b"],
    )

    assert plain(request.extras) == {"anthropic": {"service_tier": "auto", "mcp_servers": []}}
    assert request.user == "u1"
    assert request.models == ("a/b",)


def test_the_failover_list_alone_names_the_model() -> None:
    body = body_of(ask(models=["a/b", "c/d"]))
    del body["model"]

    request = CODEC.decode_request(body)

    assert (request.model, request.models) == ("a/b", ("a/b", "c/d"))


def text_block(**more: Json) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "a"}, more]}]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": text_block(text="no type")}, "messages.0.content.1.type"),
        ({"messages": text_block(type="text")}, "messages.0.content.1.text"),
        ({"messages": text_block(type="image")}, "messages.0.content.1.source"),
        (
            {"messages": text_block(type="image", source={"type": "base64"})},
            "messages.0.content.1.source.data",
        ),
        ({"messages": text_block(type="tool_use", name="f")}, "messages.0.content.1.id"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools.0.name"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"output_format": {"type": "json_schema"}}, "output_format.schema"),
    ],
)
def test_what_is_missing_is_named(change: dict[str, Any], param: str) -> None:
    with pytest.raises(MissingParameter) as caught:
        decoded(**change)

    assert caught.value.param == param
    assert param in caught.value.message


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"temperature": 1.2}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"model": "m" * 257}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": text_block(type=7)}, "messages.0.content.1.type"),
        ({"messages": text_block(type="text", text=1)}, "messages.0.content.1.text"),
        (
            {"messages": text_block(type="image", source={"type": "ftp"})},
            "messages.0.content.1.source.type",
        ),
        (
            {"messages": text_block(type="tool_result", tool_use_id="t", content=[{"type": 1}])},
            "messages.0.content.1.content.0.type",
        ),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tools": [{"name": "f", "input_schema": 5}]}, "tools.0.input_schema"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": ["x", 1]}, "stop_sequences.1"),
        ({"stream": "yes"}, "stream"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"system": [{"type": "text"}]}, "system.0.text"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(change: dict[str, Any], param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        decoded(**change)

    assert isinstance(caught.value, InvalidParameter | MissingParameter)
    assert caught.value.param == param
