"""Our request → an Anthropic body: order, repair, what is dropped and what is refused."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from ccapi.core.errors import UnsupportedParameter
from gateway.ir.request import (
    Audio,
    File,
    Image,
    Media,
    Message,
    Other,
    OtherTool,
    Part,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Request,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.protocols.anthropic import CODEC
from tests.gateway.protocols.anthropic.anthropic_kit import Json, ask, body_of, encoded, target

HI = Message(role="user", parts=(Text(text="Hi"),))


def request(*messages: Message, **fields: Json) -> Request:
    return Request(model="m", messages=messages or (HI,), **fields)


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def result(call_id: str, text: str) -> Message:
    return Message(role="tool", parts=(ToolResult(call_id=call_id, parts=(Text(text=text),)),))


def says(role: Role, text: str) -> Message:
    return Message(role=role, parts=(Text(text=text),))


def dropped(asked: Request, **fields: Json) -> set[str]:
    return set(CODEC.encode_request(asked, target(**fields)).dropped)


def test_path_headers_and_model() -> None:
    sent = CODEC.encode_request(request(), target())

    assert sent.path == "/messages"
    assert sent.headers == (("anthropic-version", "2023-06-01"),)
    assert encoded(request())["model"] == "claude-up"


@pytest.mark.parametrize(
    ("asked", "wallet", "model", "expected"),
    [(7, 5, 9, 7), (None, 5, 9, 5), (None, None, 9, 9), (None, None, 0, 4096), (0, 5, 9, 0)],
)
def test_max_tokens_are_the_clients_the_wallets_the_models_or_a_default(
    asked: int | None, wallet: int | None, model: int, expected: int
) -> None:
    body = encoded(request(max_tokens=asked), max_tokens=wallet, max_output_tokens=model)

    assert body["max_tokens"] == expected


def test_instructions_are_lifted_to_system() -> None:
    body = encoded(request(says("system", "One."), says("developer", "Two."), HI))

    assert [block["text"] for block in body["system"]] == ["One.", "Two."]
    assert body["messages"] == [{"role": "user", "content": "Hi"}]


def test_a_later_instruction_moves_to_system_where_the_model_takes_none_in_place() -> None:
    talk = (HI, says("system", "In French."), says("assistant", "Salut"), says("user", "Bye"))

    body = encoded(request(*talk))

    assert body["system"] == "In French."
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]


def test_a_later_instruction_stays_in_place_where_the_model_takes_it() -> None:
    talk = (HI, says("developer", "In French."), says("assistant", "Salut"), says("user", "Bye"))

    body = encoded(request(*talk), capabilities=frozenset({"mid_conversation_system"}))

    assert "system" not in body
    assert [turn["role"] for turn in body["messages"]] == ["user", "system", "assistant", "user"]


def test_an_instruction_between_two_user_turns_may_not_stay() -> None:
    talk = (HI, says("system", "In French."), says("user", "Bye"))

    body = encoded(request(*talk), capabilities=frozenset({"mid_conversation_system"}))

    assert body["system"] == "In French."
    assert [block["text"] for block in body["messages"][0]["content"]] == ["Hi", "Bye"]


def test_instructions_alone_are_what_the_model_is_asked() -> None:
    body = encoded(request(says("system", "Write a poem.")))

    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": "Write a poem."}]


def test_parallel_results_are_one_user_turn_in_order_before_what_the_user_says() -> None:
    calls = assistant(
        ToolCall(id="a", name="f", arguments="{}", index=0),
        ToolCall(id="b", name="f", arguments='{"x": 1}', index=1),
    )

    body = encoded(request(HI, calls, says("user", "And?"), result("a", "1"), result("b", "2")))

    last = body["messages"][-1]
    assert last["role"] == "user"
    assert [block.get("tool_use_id", block.get("text")) for block in last["content"]] == [
        "a",
        "b",
        "And?",
    ]
    assert body["messages"][1]["content"][1]["input"] == {"x": 1}


def test_neighbours_are_joined_empty_texts_left_out_and_the_user_comes_first() -> None:
    body = encoded(
        request(
            says("assistant", "Hello, I am the assistant."),
            says("user", ""),
            says("user", "A"),
            says("user", " \n"),
            says("user", "B"),
            says("assistant", "Sure: \n"),
        )
    )

    roles = [turn["role"] for turn in body["messages"]]
    assert roles == ["user", "assistant", "user", "assistant"]
    assert [block["text"] for block in body["messages"][2]["content"]] == ["A", "B"]
    assert body["messages"][3]["content"] == "Sure:"


def test_a_tool_whose_schema_is_no_object_is_named() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        encoded(request(tools=(Tool(name="f", parameters=Raw(b"[1]")),)))

    assert caught.value.param == "tools.0"


def test_nothing_to_say_is_refused() -> None:
    with pytest.raises(UnsupportedParameter):
        encoded(request(says("user", " ")))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Media(url="https://x.test/a"), {"type": "url", "url": "https://x.test/a"}),
        (
            Media(url="data:image/jpg;base64,/9j/4A=="),
            {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4A=="},
        ),
        (
            Media(data="iVBORw0KGgoAAA"),
            {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgoAAA"},
        ),
        (Media(file_id="file_9"), {"type": "file", "file_id": "file_9"}),
    ],
)
def test_images(source: Media, expected: dict[str, str]) -> None:
    body = encoded(request(user(Image(source=source))))

    assert body["messages"][0]["content"] == [{"type": "image", "source": expected}]


def test_pdf_and_text_files_are_documents() -> None:
    pdf = File(source=Media(data="JVBERi0x", media_type="application/pdf"), filename="r.pdf")
    text = File(source=Media(url="data:text/csv;base64,YSxi"))

    first, second = encoded(request(user(pdf, text)))["messages"][0]["content"]

    assert first["source"] == {
        "type": "base64",
        "media_type": "application/pdf",
        "data": "JVBERi0x",
    }
    assert first["title"] == "r.pdf"
    assert second["source"] == {"type": "text", "media_type": "text/plain", "data": "a,b"}


@pytest.mark.parametrize(
    "part",
    [
        Audio(source=Media(data="xx"), format="wav"),
        Image(source=Media(data="xx", media_type="image/tiff")),
        File(source=Media(data="xx", media_type="application/zip")),
        File(source=Media(file_id="file-abc")),
    ],
)
def test_what_claude_cannot_read_is_refused_by_its_place(part: Part) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        encoded(request(user(Text(text="See"), part)))

    assert caught.value.param == "messages.0.content.1"


def test_only_thoughts_that_anthropic_signed_go_back_to_it() -> None:
    asked = request(
        HI,
        assistant(
            Reasoning(text="own", signature="s", signed_by="anthropic"),
            Reasoning(text="foreign", signature="s", signed_by="gemini"),
            Reasoning(text="unsigned"),
            Refusal(text="No."),
            Other(protocol="openai_chat", kind="audio", raw=Raw(b"{}")),
        ),
        says("user", "?"),
    )

    content = encoded(asked)["messages"][1]["content"]

    assert content == [
        {"type": "thinking", "thinking": "own", "signature": "s"},
        {"type": "text", "text": "No."},
    ]
    assert dropped(asked) == {
        "messages.1.content.1.reasoning",
        "messages.1.content.2.reasoning",
        "messages.1.content.4.audio",
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ('{"a": ', {"partial_data": '{"a": '}),
        ("[1]", {"partial_data": "[1]"}),
    ],
)
def test_arguments_are_an_object_and_never_lost(arguments: str, expected: Json) -> None:
    asked = request(HI, assistant(ToolCall(id="c.1", name="f", arguments=arguments)))

    block = encoded(asked)["messages"][1]["content"][0]

    assert block["input"] == expected
    assert block["id"] == "c_1"


def test_tools_and_their_choice() -> None:
    tools = (
        Tool(name="f", description="F", parameters=Raw(b'{"properties":{}}'), strict=True),
        OtherTool(protocol="anthropic", kind="web_search_20250305", raw=Raw(b'{"name":"w"}')),
    )

    body = encoded(
        request(tools=tools, tool_choice=ToolChoice(mode="required"), parallel_tool_calls=False)
    )

    assert body["tools"][0] == {
        "name": "f",
        "description": "F",
        "input_schema": {"type": "object", "properties": {}},
        "strict": True,
    }
    assert body["tools"][1] == {"name": "w"}
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    serial = encoded(request(tools=tools, parallel_tool_calls=False))
    assert serial["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert "tool_choice" not in encoded(request(tool_choice=ToolChoice(mode="auto")))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"response_format": ResponseFormat(mode="json")}, "response_format"),
        ({"stop": ("\n",)}, "stop"),
        ({"tools": (Tool(name="a.b"),)}, "tools.0"),
        (
            {"tools": (OtherTool(protocol="openai_chat", kind="custom", raw=Raw(b"{}")),)},
            "tools.0",
        ),
    ],
)
def test_what_would_change_the_answer_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        encoded(request(**fields))

    assert caught.value.param == param


def test_what_has_no_counterpart_is_reported() -> None:
    asked = request(
        seed=1,
        presence_penalty=0.5,
        frequency_penalty=0.0,
        logprobs=True,
        top_logprobs=2,
        user="u" * 300,
        extras={"openai_chat": {"logit_bias": Raw(b"{}")}},
    )

    assert dropped(asked) == {
        "seed",
        "presence_penalty",
        "logprobs",
        "top_logprobs",
        "user",
        "logit_bias",
    }


def test_a_temperature_above_one_becomes_one_and_is_reported() -> None:
    assert encoded(request(temperature=1.7))["temperature"] == 1
    assert dropped(request(temperature=1.7)) == {"temperature"}
    assert dropped(request(temperature=0.7)) == set()
    fixed = frozenset({"fixed_sampling"})
    assert dropped(request(temperature=0.7), capabilities=fixed) == {"temperature"}


def test_a_schema_is_an_output_format() -> None:
    form = ResponseFormat(mode="schema", name="x", schema=Raw(b'{"type":"object"}'))

    body = encoded(request(response_format=form))

    assert body["output_config"] == {
        "format": {"type": "json_schema", "schema": {"type": "object"}}
    }


@pytest.mark.parametrize(
    ("effort", "max_tokens", "expected"),
    [
        ("minimal", 8000, 1024),
        ("low", 8000, 1024),
        ("medium", 64_000, 4096),
        ("high", 64_000, 16_384),
        ("xhigh", 80_000, 32_768),
        ("max", 200_000, 65_536),
        ("high", 8000, 4000),
        ("low", 1500, 1024),
    ],
)
def test_an_effort_is_a_budget_that_leaves_room_for_the_answer(
    effort: str, max_tokens: int, expected: int
) -> None:
    asked = request(reasoning=ReasoningConfig(effort=effort), max_tokens=max_tokens)

    assert encoded(asked)["thinking"] == {"type": "enabled", "budget_tokens": expected}
    assert dropped(asked) == set()


def test_an_effort_stays_an_effort_where_the_model_takes_it() -> None:
    asked = request(reasoning=ReasoningConfig(effort="xhigh"), max_tokens=100, temperature=0.3)

    body = encoded(asked, capabilities=frozenset({"adaptive_thinking"}))

    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"] == {"effort": "xhigh"}
    assert "temperature" not in body  # Anthropic takes none but 1 while it thinks


def test_no_room_a_forced_tool_or_a_loop_without_thoughts_switches_thinking_off() -> None:
    effort = ReasoningConfig(effort="high")
    tools = (Tool(name="f"),)
    forced = ToolChoice(mode="tool", name="f")
    loop = (HI, assistant(ToolCall(id="a", name="f", arguments="{}")), result("a", "1"))
    for asked in (
        request(reasoning=effort, max_tokens=1024),
        request(reasoning=effort, max_tokens=9000, tools=tools, tool_choice=forced),
        request(*loop, reasoning=effort, max_tokens=9000, tools=tools),
    ):
        assert "thinking" not in encoded(asked)
        assert dropped(asked) == {"reasoning_effort"}
    ended = request(*loop, says("assistant", "1"), HI, reasoning=effort, max_tokens=9000)
    assert "thinking" in encoded(ended)


def test_the_clients_own_words_reach_a_provider_of_the_same_protocol() -> None:
    from_client = CODEC.decode_request(
        body_of(
            ask(
                thinking={"type": "adaptive", "display": "omitted"},
                output_config={"effort": "low", "task_budget": {"total": 5}},
                service_tier="auto",
                metadata={"user_id": "u", "trace": 1},
            )
        )
    )

    body = encoded(from_client)

    assert body["thinking"] == {"type": "adaptive", "display": "omitted"}
    assert body["output_config"] == {"effort": "low", "task_budget": {"total": 5}}
    assert body["service_tier"] == "auto"
    assert body["metadata"] == {"user_id": "u", "trace": 1}


def test_a_direct_request_loses_our_own_fields_and_nothing_else() -> None:
    body = body_of(ask(models=["a/b"], new_field={"x": [1.0]}, stream=True))

    sent = CODEC.direct_request(body, target())

    told = msgspec.json.decode(sent.body, type=dict[str, Raw])
    assert set(told) == {"model", "max_tokens", "messages", "new_field", "stream"}
    assert told["model"] == Raw(b'"claude-up"')
    assert all(told[name] == body[name] for name in told if name != "model")
    assert sent.dropped == ()


def test_sealed_thoughts_never_reach_anthropic_on_the_direct_path() -> None:
    sealed = {"type": "thinking", "thinking": "x", "signature": "ccapi.gemini.abc"}
    own = {"type": "thinking", "thinking": "y", "signature": "EqQB"}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    answer = {"type": "tool_result", "tool_use_id": "t", "content": 'He said "ccapi." to me'}
    body = ask(
        thinking={"type": "enabled", "budget_tokens": 2048},
        messages=[
            {"role": "user", "content": 'What is "ccapi.x"?'},
            {"role": "assistant", "content": [own, {"type": "text", "text": "A"}]},
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": [sealed, call]},
            {"role": "user", "content": [answer]},
        ],
    )

    sent = CODEC.direct_request(body_of(body), target())

    told = msgspec.json.decode(sent.body)
    assert told["messages"][3]["content"] == [call]
    for at in (0, 1, 2, 4):
        assert told["messages"][at] == body["messages"][at]
    # A tool loop without thoughts cannot go on thinking: Anthropic would refuse the request.
    assert told["thinking"] == {"type": "disabled"}
    assert sent.dropped == ("messages.thinking", "thinking")
