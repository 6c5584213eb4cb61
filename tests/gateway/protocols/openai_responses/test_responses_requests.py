"""Requests of the Responses API: decoded, encoded, passed directly, refused."""

import json

import msgspec
import pytest

from ccapi.core.errors import InvalidParameter, InvalidRequest, MissingParameter
from ccapi.core.errors import UnsupportedParameter as Unsupported
from gateway.ir.request import (
    File,
    Image,
    Media,
    Message,
    Other,
    OtherTool,
    Reasoning,
    ReasoningConfig,
    RedactedReasoning,
    Request,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.protocols.openai_chat import CODEC as CHAT
from gateway.protocols.openai_responses import CODEC
from gateway.protocols.openai_responses.items_out import CALL_ID_LENGTH_MAX
from tests.gateway.protocols.openai_responses.responses_wire import (
    Loose,
    asked,
    body_of,
    encoded,
    target,
)

CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"a":"it\'s"}'}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "42"}
CUSTOM = {"type": "custom", "name": "patch", "format": {"type": "text"}}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}


def user(*parts: Loose) -> Request:
    return Request(model="m", messages=(Message(role="user", parts=parts),))


def test_an_input_of_text_is_a_turn_of_the_user() -> None:
    request = asked("Hi", instructions="Be brief.")

    assert [(message.role, message.parts) for message in request.messages] == [
        ("system", (Text(text="Be brief."),)),
        ("user", (Text(text="Hi"),)),
    ]


def test_a_missing_input_is_an_empty_turn_of_the_user() -> None:
    request = CODEC.decode_request(body_of({"model": "m", "instructions": "Go."}))

    assert request.messages[-1] == Message(role="user", parts=())


def test_one_turn_of_the_model_is_one_message() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA"}
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "Looking."}]}
    second = {**CALL, "call_id": "c2"}

    request = asked([thought, said, CALL, second, RESULT, {**RESULT, "call_id": "c2"}])

    turn, first, other = request.messages
    assert turn.parts == (
        Reasoning(text="", signature="rs_1.gA", signed_by="openai_responses"),
        Text(text="Looking."),
        ToolCall(id="c1", name="look", arguments=CALL["arguments"]),
        ToolCall(id="c2", name="look", arguments=CALL["arguments"], index=1),
    )
    assert first.parts == (ToolResult(call_id="c1", name="look", parts=(Text(text="42"),)),)
    assert other.role == "tool"


def test_parallel_calls_reach_a_chat_provider_in_one_message() -> None:
    second = {**CALL, "call_id": "c2"}
    request = asked([CALL, second, RESULT, {**RESULT, "call_id": "c2"}])

    body = json.loads(CHAT.encode_request(request, target()).body)

    assert [message["role"] for message in body["messages"]] == ["assistant", "tool", "tool"]
    assert [call["id"] for call in body["messages"][0]["tool_calls"]] == ["c1", "c2"]


def test_a_custom_tool_is_a_function_with_one_text_elsewhere() -> None:
    call = {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'it\'s "x"'}
    output = {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"}
    request = asked(
        [call, output],
        tools=[CUSTOM | {"format": GRAMMAR}],
        tool_choice={"type": "custom", "name": "patch"},
    )

    chat = json.loads(CHAT.encode_request(request, target()).body)
    again = encoded(request)

    [tool] = chat["tools"]
    assert tool["function"]["parameters"]["required"] == ["input"]
    assert "start: WORD" in tool["function"]["parameters"]["properties"]["input"]["description"]
    [made] = chat["messages"][0]["tool_calls"]
    assert json.loads(made["function"]["arguments"]) == {"input": call["input"]}
    assert again["input"] == [call, output]
    assert again["tools"] == [CUSTOM | {"format": GRAMMAR}]
    assert again["tool_choice"] == {"type": "custom", "name": "patch"}


def test_tools_that_the_vendor_runs_are_for_this_protocol_only() -> None:
    search = {"type": "web_search", "search_context_size": "low"}
    request = asked(tools=[search], tool_choice={"type": "web_search"})

    assert isinstance(request.tools[0], OtherTool)
    assert encoded(request)["tools"] == [search]
    assert encoded(request)["tool_choice"] == {"type": "web_search"}
    with pytest.raises(Unsupported, match="web_search"):
        CHAT.encode_request(request, target())


def test_allowed_tools_leave_the_others_out() -> None:
    tools: list[Loose] = [
        {"type": "function", "name": name, "parameters": {}} for name in ("a", "b")
    ]
    allowed = {"type": "function", "name": "b"}
    choice = {"type": "allowed_tools", "mode": "required", "tools": [allowed]}

    request = asked(tools=[*tools, {"type": "web_search"}], tool_choice=choice)

    assert [tool.name for tool in request.tools if isinstance(tool, Tool)] == ["b"]
    assert len(request.tools) == 1
    assert request.tool_choice == ToolChoice(mode="required")


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_words_of_the_choice_pass(choice: str) -> None:
    tools = [{"type": "function", "name": "a", "parameters": {"type": "object"}}]

    assert encoded(asked(tools=tools, tool_choice=choice))["tool_choice"] == choice


def test_a_schema_stands_flat_in_the_format() -> None:
    form = {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}

    request = asked(text={"format": form, "verbosity": "low"})

    assert request.response_format == ResponseFormat(
        mode="schema", name="city", schema=msgspec.Raw(b'{"type": "object"}'), strict=True
    )
    assert encoded(request)["text"] == {"format": form, "verbosity": "low"}


def test_what_is_put_in_front_of_the_model_keeps_its_form() -> None:
    parts = [
        {"type": "input_text", "text": "See"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
        {"type": "input_image", "image_url": "https://e.org/a.png", "detail": "auto"},
        {"type": "input_file", "file_url": "https://e.org/a.pdf"},
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,aGk=",
        },
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
    ]

    request = asked([{"role": "user", "content": parts}])

    assert request.messages[0].parts[1] == Image(
        source=Media(data="aGk=", media_type="image/png"), detail="low"
    )
    assert request.messages[0].parts[3] == File(source=Media(url="https://e.org/a.pdf"))
    assert encoded(request)["input"] == [{"role": "user", "content": parts}]


def test_images_of_a_tools_result_pass() -> None:
    parts = [{"type": "input_image", "image_url": "https://e.org/a.png", "detail": "auto"}]

    request = asked([CALL, {**RESULT, "output": parts}])

    assert encoded(request)["input"][1]["output"] == parts


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("previous_response_id", {"previous_response_id": "resp_1"}),
        ("conversation", {"conversation": "conv_1"}),
        ("conversation", {"conversation": {"id": "conv_1"}}),
        ("prompt", {"prompt": {"id": "pmpt_1"}}),
        ("input[0]", {"input": [{"type": "item_reference", "id": "msg_1"}]}),
        ("input[1]", {"input": [{"role": "user", "content": "Hi"}, {"id": "msg_1"}]}),
    ],
)
def test_what_a_provider_keeps_for_all_customers_alike_cannot_be_referred_to(
    param: str, fields: Loose
) -> None:
    with pytest.raises(Unsupported) as refused:
        asked(**fields)

    assert refused.value.param == param


def test_an_answer_in_the_background_binds_the_request_to_its_protocol() -> None:
    request = asked(background=True, stream=True)

    assert request.bound == ("background",)
    assert encoded(request)["background"] is True


def test_nothing_binds_an_ordinary_request() -> None:
    request = asked(store=True, previous_response_id=None, background=False, metadata={"a": "b"})

    assert request.bound == ()
    assert encoded(request)["store"] is True


def test_an_answer_in_the_background_must_be_streamed() -> None:
    with pytest.raises(Unsupported) as refused:
        asked(background=True)

    assert refused.value.param == "background"


def test_items_of_this_protocol_alone_pass_here_and_are_dropped_elsewhere() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    request = asked([{"role": "user", "content": "Hi"}, search])

    assert isinstance(request.messages[1].parts[0], Other)
    assert encoded(request)["input"][1] == search
    assert CHAT.encode_request(request, target()).dropped == ("messages.web_search_call",)


def test_nothing_is_stored_unless_asked_and_thoughts_come_sealed() -> None:
    thinker = target(capabilities=frozenset({"reasoning"}))

    body = encoded(user(Text(text="Hi")), thinker)

    assert body["store"] is False
    assert body["include"] == ["reasoning.encrypted_content"]
    assert "include" not in encoded(user(Text(text="Hi")))


def test_a_budget_of_another_protocol_becomes_an_effort_with_a_summary() -> None:
    thinker = target(capabilities=frozenset({"reasoning"}))
    budget = ReasoningConfig(budget_tokens=2000)

    request = msgspec.structs.replace(user(Text(text="Hi")), reasoning=budget)

    assert encoded(request, thinker)["reasoning"] == {"effort": "medium", "summary": "auto"}
    assert "reasoning" in CODEC.encode_request(request, target()).dropped


def test_thoughts_of_other_protocols_go_to_no_upstream() -> None:
    thoughts = (
        Reasoning(text="a", signature="s", signed_by="anthropic"),
        RedactedReasoning(data="r", signed_by="anthropic"),
        Reasoning(text="b"),
        Reasoning(text="c", signature="rs_1.gA", signed_by="openai_responses"),
    )
    request = Request(model="m", messages=(Message(role="assistant", parts=thoughts),))

    sent = CODEC.encode_request(request, target())

    assert sent.dropped == ("messages.reasoning",)
    assert json.loads(sent.body)["input"] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "c"}],
            "encrypted_content": "gA",
        }
    ]


def test_what_this_protocol_cannot_say_is_refused_or_named() -> None:
    plain = user(Text(text="Hi"))

    with pytest.raises(Unsupported) as stop:
        CODEC.encode_request(msgspec.structs.replace(plain, stop=("x",)), target())
    with pytest.raises(Unsupported) as n:
        CODEC.encode_request(msgspec.structs.replace(plain, n=2), target())
    tuned = msgspec.structs.replace(plain, seed=1, top_k=4, presence_penalty=0.5)
    sent = CODEC.encode_request(tuned, target())

    assert (stop.value.param, n.value.param) == ("stop", "n")
    assert sent.dropped == ("top_k", "seed", "presence_penalty")


def test_a_limit_stays_between_what_the_api_and_the_model_take() -> None:
    assert encoded(asked(max_output_tokens=1))["max_output_tokens"] == 16
    assert (
        encoded(asked(max_output_tokens=99), target(max_output_tokens=50))["max_output_tokens"]
        == 50
    )
    assert encoded(asked(), target(max_tokens=30))["max_output_tokens"] == 30


def test_a_failed_result_says_so() -> None:
    failed = ToolResult(call_id="c1", parts=(Text(text="no such city"),), is_error=True)
    request = Request(model="m", messages=(Message(role="user", parts=(failed,)),))

    assert encoded(request)["input"][0]["output"] == "Error: no such city"


def test_long_ids_of_calls_become_short_ones_that_match() -> None:
    long = "call_" + "x" * 80
    request = asked([{**CALL, "call_id": long}, {**RESULT, "call_id": long}])

    call, result = encoded(request)["input"]

    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= CALL_ID_LENGTH_MAX


def test_directly_only_the_models_name_changes() -> None:
    body = {"input": [CALL], "model": "m", "x": {"y": [1.0, "é"]}, "models": ["m"]}

    sent = CODEC.direct_request(body_of(body), target("up"))

    assert sent.path == "/responses"
    assert json.loads(sent.body) == {"input": [CALL], "model": "up", "x": {"y": [1.0, "é"]}}


def test_directly_a_cap_is_set_where_the_client_named_none() -> None:
    capped = target(max_tokens=100)

    open_ = json.loads(CODEC.direct_request(body_of({"model": "m"}), capped).body)
    named = body_of({"model": "m", "max_output_tokens": 7})

    assert open_["max_output_tokens"] == 100
    assert json.loads(CODEC.direct_request(named, capped).body)["max_output_tokens"] == 7


def test_directly_sealed_thoughts_are_restored_or_left_out() -> None:
    def thought(sealed: str) -> Loose:
        summary = [{"type": "summary_text", "text": "t"}]
        return {"type": "reasoning", "id": "rs_x", "summary": summary, "encrypted_content": sealed}

    items = [
        thought("ccapi.anthropic.sig"),
        thought("ccapi.openai_responses.rs_1.gA"),
        thought("gB"),
        {"role": "user", "content": 'what is "ccapi.anthropic.x"?'},
    ]

    sent = json.loads(CODEC.direct_request(body_of({"model": "m", "input": items}), target()).body)

    assert sent["input"] == [{**thought("gA"), "id": "rs_1"}, *items[2:]]


@pytest.mark.parametrize(
    ("body", "error", "param"),
    [
        ({"input": "x"}, MissingParameter, "model"),
        ({"model": "m", "input": 7}, InvalidParameter, "input"),
        (
            {"model": "m", "input": [{"role": "robot", "content": ""}]},
            InvalidParameter,
            "input[0].role",
        ),
        ({"model": "m", "input": [{"role": "user"}]}, MissingParameter, "input[0].content"),
        (
            {"model": "m", "input": [{**CALL, "call_id": None}]},
            MissingParameter,
            "input[0].call_id",
        ),
        (
            {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            MissingParameter,
            "input[0].content[0].text",
        ),
        (
            {"model": "m", "input": "x", "tools": [{"type": "function"}]},
            MissingParameter,
            "tools[0].name",
        ),
        ({"model": "m", "input": "x", "tool_choice": "sometimes"}, InvalidParameter, "tool_choice"),
        (
            {"model": "m", "input": "x", "max_output_tokens": 0},
            InvalidParameter,
            "max_output_tokens",
        ),
        ({"model": "m", "input": "x", "instructions": {}}, InvalidParameter, "instructions"),
    ],
)
def test_a_malformed_request_is_refused_with_the_field(
    body: Loose, error: type[InvalidRequest], param: str
) -> None:
    with pytest.raises(error) as refused:
        CODEC.decode_request(body_of(body))

    assert refused.value.param == param
