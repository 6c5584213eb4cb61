"""Requests as clients write them: understood, or refused by the name of the field at fault."""

import json

import msgspec
import pytest

from ccapi.core.errors import InvalidParameter, MissingParameter
from gateway.ir.request import (
    Audio,
    CacheMark,
    File,
    Image,
    Media,
    Other,
    OtherTool,
    Reasoning,
    ReasoningConfig,
    RedactedReasoning,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.protocols.openai_chat import CODEC
from tests.gateway.protocols.openai_chat.openai_wire import (
    HELLO,
    Loose,
    asked,
    body_of,
    encoded,
    target,
)

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}


def test_every_sampling_field_is_read() -> None:
    request = asked(
        stream=True,
        temperature=1,
        top_p=0.5,
        top_k=40,
        seed=-7,
        n=2,
        presence_penalty=-1.5,
        frequency_penalty=0.25,
        logprobs=True,
        top_logprobs=3,
        stop="END",
        user="u-1",
        parallel_tool_calls=False,
        stream_options={"include_usage": True},
    )

    assert (request.stream, request.temperature, request.top_p, request.top_k) == (
        True,
        1.0,
        0.5,
        40,
    )
    assert (request.seed, request.n, request.stop, request.user) == (-7, 2, ("END",), "u-1")
    assert (request.presence_penalty, request.frequency_penalty) == (-1.5, 0.25)
    assert (request.logprobs, request.top_logprobs, request.parallel_tool_calls) == (True, 3, False)
    assert request.include_usage


def test_null_counts_as_absent() -> None:
    names = ["temperature", "stop", "tools", "tool_choice", "max_tokens", "user", "metadata", "n"]

    assert asked(**dict.fromkeys(names)) == asked()


def test_a_list_of_models_stands_for_the_model() -> None:
    only_list = CODEC.decode_request(body_of({"models": ["a/x", "b/y"], "messages": HELLO}))
    both = asked(models=["b/y"])

    assert (only_list.model, only_list.models) == ("a/x", ("a/x", "b/y"))
    assert (both.model, both.models) == ("m", ("b/y",))
    assert asked(models=[]).models == ()


def test_a_count_may_be_written_as_a_float() -> None:
    assert asked(max_tokens=16.0, n=1.0).max_tokens == 16


def test_stop_may_be_text_or_a_list() -> None:
    assert asked(stop=["a", "b"]).stop == ("a", "b")
    assert asked(stop=[]).stop == ()


def test_both_names_of_the_limit_are_read_and_the_newer_one_wins() -> None:
    request = asked(max_tokens=5, max_completion_tokens=7)

    assert request.max_tokens == 7
    assert encoded(request)["max_completion_tokens"] == 7
    assert "max_tokens" not in encoded(request)


def test_unknown_fields_pass_on_to_this_protocol() -> None:
    request = asked(logit_bias={"50256": -100}, verbosity="low", metadata={"a": "b"})

    assert encoded(request)["logit_bias"] == {"50256": -100}
    assert encoded(request)["verbosity"] == "low"
    assert encoded(request)["metadata"] == {"a": "b"}


@pytest.mark.parametrize(
    ("fields", "config"),
    [
        ({"reasoning_effort": "high"}, ReasoningConfig(effort="high")),
        ({"reasoning_effort": "none"}, ReasoningConfig(enabled=False, effort="none")),
        ({"reasoning": {"max_tokens": 2000}}, ReasoningConfig(budget_tokens=2000)),
        ({"reasoning": {"enabled": False}}, ReasoningConfig(enabled=False)),
        ({"thinking": {"type": "disabled"}}, ReasoningConfig(enabled=False)),
        ({"thinking": {"type": "enabled"}}, ReasoningConfig()),
    ],
)
def test_each_way_to_ask_for_thoughts_is_read_and_sent_back_as_it_was(
    fields: dict[str, Loose], config: ReasoningConfig
) -> None:
    request = asked(**fields)

    assert request.reasoning == config
    body = encoded(request, target(capabilities=frozenset({"reasoning"})))
    assert {name: body[name] for name in fields} == fields
    assert "reasoning_effort" in fields or "reasoning_effort" not in body


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"type": "text"}, ResponseFormat(mode="text")),
        ({"type": "json_object"}, ResponseFormat(mode="json")),
        (
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"a": 1}, "strict": True},
            },
            ResponseFormat(mode="schema", name="n", schema=msgspec.Raw(b'{"a": 1}'), strict=True),
        ),
    ],
)
def test_response_formats_are_read_and_sent_back(told: Loose, expected: ResponseFormat) -> None:
    request = asked(response_format=told)

    assert request.response_format == expected
    assert encoded(request)["response_format"] == told


def test_tools_and_choices_are_read_and_sent_back() -> None:
    choice = {"type": "function", "function": {"name": "weather"}}
    search = {"type": "openrouter:web_search", "parameters": {"max_uses": 1}}

    request = asked(tools=[WEATHER, search], tool_choice=choice)

    assert isinstance(request.tools[0], Tool)
    assert isinstance(request.tools[1], OtherTool)
    assert request.tool_choice == ToolChoice(mode="tool", name="weather")
    assert encoded(request)["tools"] == [WEATHER, search]
    assert encoded(request)["tool_choice"] == choice


def test_allowed_tools_leave_the_allowed_ones() -> None:
    allowed = {
        "type": "allowed_tools",
        "allowed_tools": {
            "mode": "required",
            "tools": [{"type": "function", "function": {"name": "clock"}}],
        },
    }

    request = asked(tools=[WEATHER, CLOCK], tool_choice=allowed)

    assert [tool.name for tool in request.tools if isinstance(tool, Tool)] == ["clock"]
    assert request.tool_choice == ToolChoice(mode="required")
    assert encoded(request)["tool_choice"] == allowed


def test_legacy_functions_become_tools_and_their_answers_find_the_call() -> None:
    request = asked(
        [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": "w", "arguments": "{}"},
            },
            {"role": "function", "name": "w", "content": "Rain"},
        ],
        functions=[{"name": "w", "parameters": {"type": "object"}}],
        function_call={"name": "w"},
    )

    call, result = request.messages[1].parts[0], request.messages[2].parts[0]
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert (result.call_id, result.name) == (call.id, "w")
    assert request.tool_choice == ToolChoice(mode="tool", name="w")
    assert [message["role"] for message in encoded(request)["messages"]] == [
        "user",
        "assistant",
        "tool",
    ]


def test_content_parts_of_every_kind_are_read() -> None:
    request = asked(
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See", "cache_control": {"type": "ephemeral"}},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "image_url", "image_url": "https://x/z.png"},
                    {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                    {
                        "type": "file",
                        "file": {
                            "filename": "a.pdf",
                            "file_data": "data:application/pdf;base64,JV",
                        },
                    },
                    {"type": "video_url", "video_url": {"url": "https://x/v.mp4"}},
                ],
            }
        ]
    )

    assert request.messages[0].parts[:7] == (
        Text(text="See", cache=CacheMark()),
        Image(source=Media(url="https://x/y.png"), detail="low"),
        Image(source=Media(data="AAAA", media_type="image/png")),
        Image(source=Media(url="https://x/z.png")),
        Audio(source=Media(data="UklG", media_type="audio/wav"), format="wav"),
        File(source=Media(file_id="file-1")),
        File(source=Media(data="JV", media_type="application/pdf"), filename="a.pdf"),
    )
    video = request.messages[0].parts[7]
    assert isinstance(video, Other)
    assert (video.kind, json.loads(bytes(video.raw))["video_url"]) == (
        "video_url",
        {"url": "https://x/v.mp4"},
    )


def test_a_tool_result_learns_the_name_of_its_call() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    request = asked(
        [
            *HELLO,
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "Rain"}]},
        ]
    )

    assert request.messages[2].parts == (
        ToolResult(call_id="c1", name="weather", parts=(Text(text="Rain"),)),
    )


@pytest.mark.parametrize(
    "arguments", ['{"a":"it\'s"}', '{"a": "\\u00e9\\n"}', "{not json", "", '{"emoji":"🙂"}']
)
def test_arguments_of_calls_stay_byte_for_byte(arguments: str) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}

    request = asked([*HELLO, {"role": "assistant", "tool_calls": [call]}])

    part = request.messages[1].parts[0]
    assert isinstance(part, ToolCall)
    assert part.arguments == arguments
    assert encoded(request)["messages"][1]["tool_calls"] == [call]


def test_signed_thoughts_that_a_client_sends_back_are_read_and_go_to_no_upstream_here() -> None:
    details = [
        {
            "type": "reasoning.text",
            "text": "Hm",
            "signature": "Sig",
            "format": "ccapi/anthropic",
            "index": 0,
        },
        {"type": "reasoning.encrypted", "data": "AA", "format": "ccapi/anthropic", "index": 1},
    ]
    message = {
        "role": "assistant",
        "content": "Yes",
        "reasoning_content": "Hm",
        "reasoning_details": details,
    }

    request = asked([*HELLO, message])

    assert request.messages[1].parts == (
        Reasoning(text="Hm", signature="Sig", signed_by="anthropic"),
        RedactedReasoning(data="AA", signed_by="anthropic"),
        Text(text="Yes"),
    )
    assert encoded(request)["messages"][1] == {"role": "assistant", "content": "Yes"}


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_plain_thoughts_go_back_under_the_name_they_had(field: str) -> None:
    message = {"role": "assistant", "content": "4", field: "2 and 2"}

    request = asked([*HELLO, message])

    assert request.messages[1].parts[0] == Reasoning(text="2 and 2")
    assert encoded(request)["messages"][1] == message


# What is refused.


@pytest.mark.parametrize(
    ("body", "error", "param"),
    [
        ({"messages": HELLO}, MissingParameter, "model"),
        ({"model": "", "messages": HELLO}, MissingParameter, "model"),
        ({"model": 3, "messages": HELLO}, InvalidParameter, "model"),
        ({"model": "m"}, MissingParameter, "messages"),
        ({"model": "m", "messages": []}, InvalidParameter, "messages"),
        ({"model": "m", "messages": "Hi"}, InvalidParameter, "messages"),
        ({"model": "m", "messages": ["Hi"]}, InvalidParameter, "messages[0]"),
        ({"model": "m", "messages": HELLO, "models": "a"}, InvalidParameter, "models"),
        ({"model": "m", "messages": HELLO, "models": [1]}, InvalidParameter, "models[0]"),
    ],
)
def test_a_body_without_its_core_is_refused(
    body: Loose, error: type[Exception], param: str
) -> None:
    with pytest.raises(error) as refused:
        CODEC.decode_request(body_of(body))

    assert vars(refused.value)["param"] == param


@pytest.mark.parametrize(
    ("message", "error", "param"),
    [
        ({"content": "x"}, MissingParameter, "role"),
        ({"role": "robot", "content": "x"}, InvalidParameter, "role"),
        ({"role": "user"}, MissingParameter, "content"),
        ({"role": "user", "content": 5}, InvalidParameter, "content"),
        ({"role": "user", "content": [{"text": "x"}]}, MissingParameter, "content[0].type"),
        ({"role": "user", "content": [{"type": 1}]}, InvalidParameter, "content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, MissingParameter, "content[0].text"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
            MissingParameter,
            "content[0].image_url.url",
        ),
        (
            {
                "role": "user",
                "content": [{"type": "input_audio", "input_audio": {"format": "wav"}}],
            },
            MissingParameter,
            "content[0].input_audio.data",
        ),
        (
            {"role": "user", "content": [{"type": "file", "file": {}}]},
            MissingParameter,
            "content[0].file.file_data",
        ),
        ({"role": "tool", "content": "x"}, MissingParameter, "tool_call_id"),
        (
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {}}]},
            MissingParameter,
            "tool_calls[0].function.name",
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]},
            MissingParameter,
            "tool_calls[0].id",
        ),
    ],
)
def test_a_wrong_message_is_refused_with_the_path_of_the_fault(
    message: Loose, error: type[Exception], param: str
) -> None:
    with pytest.raises(error) as refused:
        asked([*HELLO, message])

    assert vars(refused.value)["param"] == f"messages[1].{param}"


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("temperature", "hot", "temperature"),
        ("temperature", True, "temperature"),
        ("max_tokens", 1.5, "max_tokens"),
        ("max_tokens", 0, "max_tokens"),
        ("max_tokens", "5", "max_tokens"),
        ("max_tokens", 1e30, "max_tokens"),
        ("n", 0, "n"),
        ("n", 1000, "n"),
        ("stop", 5, "stop"),
        ("stop", ["a", 1], "stop[1]"),
        ("stream", "yes", "stream"),
        ("tools", [{"type": "function"}], "tools[0].function"),
        ("tools", [{"type": "function", "function": {}}], "tools[0].function.name"),
        ("tool_choice", "maybe", "tool_choice"),
        ("tool_choice", {"type": "function"}, "tool_choice.function"),
        ("response_format", {}, "response_format.type"),
        ("response_format", {"type": "json_schema"}, "response_format.json_schema"),
        ("stream_options", {"include_usage": 1}, "stream_options.include_usage"),
        ("user", 5, "user"),
    ],
)
def test_a_wrong_field_is_refused_by_name(field: str, value: Loose, param: str) -> None:
    with pytest.raises((InvalidParameter, MissingParameter)) as refused:
        asked(**{field: value})

    assert refused.value.param == param
    assert param in refused.value.message
