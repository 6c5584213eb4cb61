"""The Ollama codec: requests, answers, streams and errors, beside what the official SDK reads."""

import json
from typing import Any, TypeAlias

import msgspec
import ollama
import pytest

from ccapi.core.errors import (
    GatewayError,
    InvalidParameter,
    MissingParameter,
    RateLimited,
    UnsupportedParameter,
)
from ccapi.core.usage import Usage
from gateway.ir.events import (
    Completed,
    Event,
    Failed,
    ReasoningDelta,
    Started,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from gateway.ir.request import (
    Audio,
    CacheMark,
    Image,
    Media,
    Message,
    OtherTool,
    Part,
    Raw,
    Reasoning,
    ReasoningConfig,
    Request,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.ir.response import Choice, Costs, Response
from gateway.protocols.base import GarbledStream, Target, Told
from gateway.protocols.ollama import CODEC, GENERATE
from gateway.transport.ndjson import NDJSONParser

Json: TypeAlias = Any  # values of JSON, and fields of requests, as the tests write them

PNG = "iVBORw0KGgoAAAA"
TOLD = Told(id="gen_1", model="asked", provider="local", created=1_700_000_000)
COSTS = Costs(input="0.000018", output="0.0001536", total="0.0001716")
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def body_of(request: dict[str, Any]) -> dict[str, Raw]:
    return msgspec.json.decode(json.dumps(request).encode(), type=dict[str, Raw])


def decoded(**fields: Json) -> Request:
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | fields
    return CODEC.decode_request(body_of(asked))


def sent(request: Request, **fields: Json) -> dict[str, Any]:
    wanted: dict[str, Json] = {"upstream_model": "up", "stream": False}
    target = Target(**wanted | fields)
    body: dict[str, Any] = json.loads(CODEC.encode_request(request, target).body)
    return body


def without_images(message: dict[str, Any]) -> dict[str, Any]:
    """The SDK's type takes files here, and its client writes base64, as we do."""
    return {name: value for name, value in message.items() if name != "images"}


def said(**fields: Json) -> dict[str, Any]:
    line = {"model": "up", "created_at": "2026-01-02T03:04:05.123456789Z", "done": False}
    return line | fields


STREAM = b"".join(
    json.dumps(line).encode() + b"\n"
    for line in (
        said(message={"role": "assistant", "content": "", "thinking": "hm é"}),
        said(message={"role": "assistant", "content": "it's "}),
        said(message={"role": "assistant", "content": "中"}),
        said(
            message={
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"function": {"name": "look", "arguments": {"at": "it's"}}},
                    {"function": {"name": "look", "arguments": {}}},
                ],
            }
        ),
        said(
            message={"role": "assistant", "content": ""},
            done=True,
            done_reason="stop",
            prompt_eval_count=7,
            eval_count=5,
            total_duration=1,
        ),
    )
)
EVENTS: list[Event] = [
    Started(model="up", created=1_767_323_045),
    ReasoningDelta(text="hm é"),
    TextDelta(text="it's "),
    TextDelta(text="中"),
    ToolCallStarted(index=0, id="call_73d2769a_0", name="look"),
    ToolCallDelta(index=0, arguments='{"at":"it\'s"}'),
    ToolCallStarted(index=1, id="call_73d2769a_1", name="look"),
    ToolCallDelta(index=1, arguments="{}"),
    Stopped(reason="tool_calls", raw_reason="stop"),
]


def events_of(*reads: bytes) -> list[Event]:
    parser, decoder = NDJSONParser(), CODEC.stream_decoder()
    return [
        event for read in reads for frame in parser.feed(read) for event in decoder.decode(frame)
    ]


def test_a_stream_cut_at_any_byte_gives_the_same_events() -> None:
    whole = events_of(STREAM)

    assert whole[:-2] == EVENTS
    usage, completed = whole[-2:]
    assert isinstance(usage, UsageReported)
    assert usage.usage is not None
    assert (usage.usage.input, usage.usage.output) == (7, 5)
    assert completed == Completed()
    for cut in range(1, len(STREAM)):
        assert events_of(STREAM[:cut], STREAM[cut:]) == whole


def test_a_stream_without_its_last_line_is_not_complete() -> None:
    lines = STREAM.splitlines(keepends=True)

    assert Completed() not in events_of(b"".join(lines[:-1]))


def test_an_error_line_is_a_failure_and_ends_the_stream() -> None:
    events = events_of(STREAM.splitlines(keepends=True)[0], b'{"error":"server busy"}\n', STREAM)

    assert events[-1] == Failed(kind="overloaded", message="server busy")


def test_a_line_of_something_else_is_garbled() -> None:
    with pytest.raises(GarbledStream):
        events_of(b"data: nope\n")


def test_a_request_streams_unless_it_says_not_to() -> None:
    assert decoded().stream
    assert not decoded(stream=False).stream


def test_all_of_a_request_is_understood() -> None:
    request = decoded(
        options={"temperature": 0.5, "num_predict": 9, "stop": "x", "seed": 1, "num_ctx": 4096},
        tools=[TOOL],
        format={"type": "object"},
        think="high",
        keep_alive="5m",
    )

    assert (request.temperature, request.max_tokens, request.stop) == (0.5, 9, ("x",))
    assert request.seed == 1
    assert request.tools == (Tool(name="look", parameters=Raw(b'{"type": "object"}')),)
    assert request.response_format == ResponseFormat(
        mode="schema", schema=Raw(b'{"type": "object"}')
    )
    assert request.reasoning == ReasoningConfig(effort="high")
    assert request.extras["ollama"].keys() == {"keep_alive", "options"}
    assert sent(request)["options"] == {
        "temperature": 0.5,
        "num_predict": 9,
        "stop": ["x"],
        "seed": 1,
        "num_ctx": 4096,
    }


def test_results_are_matched_by_name_and_order_where_there_is_no_id() -> None:
    calls = [{"function": {"name": name, "arguments": {"n": n}}} for n, name in enumerate("aba")]
    request = decoded(
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "content": "b's", "tool_name": "b"},
            {"role": "tool", "content": "first a's", "tool_name": "a"},
            {"role": "tool", "content": "second a's", "tool_name": "a"},
        ]
    )

    ids = [part.id for part in request.messages[1].parts if isinstance(part, ToolCall)]
    results = [message.parts[0] for message in request.messages[2:]]
    assert len(set(ids)) == 3
    assert [part.call_id for part in results if isinstance(part, ToolResult)] == [
        ids[1],
        ids[0],
        ids[2],
    ]


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({"messages": None}, MissingParameter, "messages"),
        ({"messages": []}, InvalidParameter, "messages"),
        ({"messages": [{"role": "judge", "content": "x"}]}, InvalidParameter, "messages[0].role"),
        ({"model": None}, MissingParameter, "model"),
        ({"format": "xml"}, InvalidParameter, "format"),
        ({"stream": "yes"}, InvalidParameter, "stream"),
        (
            {"messages": [{"role": "user", "content": "x", "images": ["https://a/b.png"]}]},
            InvalidParameter,
            "messages[0].images",
        ),
    ],
)
def test_a_wrong_request_is_refused_by_name(
    fields: dict[str, Any], error: type[GatewayError], param: str
) -> None:
    with pytest.raises(error) as caught:
        decoded(**fields)

    assert caught.value.param == param


def test_what_an_upstream_gets_is_what_the_sdk_would_send() -> None:
    call = ToolCall(id="c1", name="look", arguments='{"at": "it\'s"}')
    request = Request(
        model="m",
        messages=(
            Message(role="developer", parts=(Text(text="Be."),)),
            Message(
                role="user",
                parts=(Text(text="Hi"), Image(source=Media(data=PNG, media_type="image/png"))),
            ),
            Message(role="assistant", parts=(Reasoning(text="hm"), Text(text="ok"), call)),
            Message(
                role="tool",
                parts=(ToolResult(call_id="c1", name="look", is_error=True),),
            ),
        ),
        tools=(Tool(name="look"),),
        response_format=ResponseFormat(mode="json"),
        reasoning=ReasoningConfig(enabled=False),
        max_tokens=50,
    )

    body = sent(request, max_output_tokens=20)

    assert [ollama.Message(**without_images(message)).role for message in body["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]
    assert body["messages"][1] == {"role": "user", "content": "Hi", "images": [PNG]}
    assert body["messages"][2]["thinking"] == "hm"
    assert body["messages"][2]["tool_calls"][0]["function"]["arguments"] == {"at": "it's"}
    assert body["messages"][3]["content"] == "Error: "
    assert (body["format"], body["think"], body["options"]) == ("json", False, {"num_predict": 20})
    ollama.Tool(**body["tools"][0])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": (Tool(name="x"),), "tool_choice": ToolChoice(mode="required")}, "tool_choice"),
        ({"tools": (OtherTool(protocol="openai", kind="web", raw=Raw(b"{}")),)}, "tools"),
    ],
)
def test_what_would_change_the_answer_is_refused(fields: dict[str, Any], param: str) -> None:
    request = msgspec.structs.replace(decoded(), **fields)

    with pytest.raises(UnsupportedParameter) as caught:
        sent(request)

    assert caught.value.param == param


@pytest.mark.parametrize("part", [Audio(source=Media(data="aa")), Image(source=Media(url="x"))])
def test_what_the_model_cannot_be_shown_is_refused(part: Part) -> None:
    request = Request(model="m", messages=(Message(role="user", parts=(part,)),))

    with pytest.raises(UnsupportedParameter):
        sent(request)


def answer() -> Response:
    return Response(
        id="r",
        model="up",
        choices=(
            Choice(
                parts=(
                    Reasoning(text="hm", signature="sig", signed_by="anthropic"),
                    Text(text="it's"),
                    ToolCall(id="c1", name="look", arguments='{"at":"it\'s"}'),
                ),
                stop="tool_calls",
            ),
        ),
    )


def test_a_converted_answer_is_what_the_sdk_reads() -> None:
    payload = CODEC.encode_response(answer(), TOLD, Usage(input=5, cache_read=2, output=3), COSTS)

    read = ollama.ChatResponse(**json.loads(payload))
    assert read.model == "asked"
    assert (read.message.content, read.message.thinking) == ("it's", "hm")
    assert read.message.tool_calls is not None
    assert read.message.tool_calls[0].function.arguments == {"at": "it's"}
    assert (read.done, read.done_reason) == (True, "stop")
    assert (read.prompt_eval_count, read.eval_count) == (7, 3)
    assert json.loads(payload)["cost"] == 0.0001716


def test_a_foreign_signature_comes_back_as_it_was() -> None:
    payload = CODEC.encode_response(answer(), TOLD, Usage(), COSTS)
    message = json.loads(payload)["message"]

    back = decoded(messages=[{"role": "user", "content": "Hi"}, message]).messages[1]

    assert back.parts[0] == Reasoning(text="hm", signature="sig", signed_by="anthropic")


def test_a_converted_stream_is_what_the_sdk_reads() -> None:
    encoder = CODEC.stream_encoder(decoded(), TOLD)
    events = [*EVENTS, Completed()]
    # The arguments come in fragments from other protocols.
    events[5:6] = [ToolCallDelta(index=0, arguments=piece) for piece in ('{"at":', '"it\'s"}')]

    data = b"".join(encoder.encode(event) for event in events)
    data += encoder.end(Usage(input=7, output=5), COSTS)

    lines = [ollama.ChatResponse(**json.loads(line)) for line in data.splitlines()]
    assert "".join(line.message.content or "" for line in lines) == "it's 中"
    assert "".join(line.message.thinking or "" for line in lines) == "hm é"
    calls = [call for line in lines for call in line.message.tool_calls or ()]
    assert [call.function.arguments for call in calls] == [{"at": "it's"}, {}]
    assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True]
    assert (lines[-1].prompt_eval_count, lines[-1].eval_count) == (7, 5)


def test_a_broken_stream_ends_with_an_error_and_never_with_done() -> None:
    encoder = CODEC.stream_encoder(decoded(), TOLD)

    data = encoder.encode(TextDelta(text="a")) + encoder.fail(GatewayError("It broke."))

    last = json.loads(data.splitlines()[-1])
    assert last["error"] == "It broke."
    assert b'"done":true' not in data


def test_on_the_direct_path_only_the_last_line_changes() -> None:
    direct, decoder = CODEC.direct_stream(decoded(), TOLD), CODEC.stream_decoder()

    out = b"".join(
        direct.forward(frame, decoder.decode(frame)) for frame in NDJSONParser().feed(STREAM)
    )
    out += direct.end(Usage(input=7, output=5), COSTS)

    ours, theirs = out.splitlines(), STREAM.splitlines()
    assert ours[:-1] == theirs[:-1]
    added = {"cost": 0.0001716, "input_cost": 0.000018, "output_cost": 0.0001536}
    assert json.loads(ours[-1]) == json.loads(theirs[-1]) | added


def test_the_direct_request_changes_the_model_alone() -> None:
    asked = {"model": "m", "messages": [], "options": {"num_ctx": 1}, "unknown": [1.50]}

    encoded = CODEC.direct_request(body_of(asked), Target(upstream_model="up", stream=True))

    assert json.loads(encoded.body) == asked | {"model": "up", "stream": True}
    capped = CODEC.direct_request(
        body_of(asked), Target(upstream_model="up", stream=True, max_tokens=5)
    )
    assert json.loads(capped.body)["options"] == {"num_ctx": 1, "num_predict": 5}


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, 'model "x" not found, try pulling it first', "not_found"),
        (400, "the input length exceeds the context length", "context_length"),
        (503, "server busy, please try again. maximum pending requests exceeded", "overloaded"),
        (429, "too many requests", "rate_limited"),
        (401, "unauthorized", "auth"),
        (500, "llama runner process has terminated", "server"),
        (400, "invalid format", "invalid"),
    ],
)
def test_errors_of_an_upstream_are_understood(status: int, text: str, kind: str) -> None:
    failure = CODEC.decode_error(status, {}, json.dumps({"error": text}).encode())

    assert (failure.kind, failure.message) == (kind, text)


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[]", b'"x"', b"\xff"])
def test_any_body_of_an_error_is_some_failure(body: bytes) -> None:
    assert CODEC.decode_error(502, {}, body).kind == "server"


def test_our_errors_are_in_ollamas_shape() -> None:
    told = json.loads(CODEC.encode_error(RateLimited("Slow down."), "req_1"))

    assert told == {"error": "Slow down.", "code": "requests_per_minute"}


def test_the_generate_form_asks_and_answers() -> None:
    request = GENERATE.decode_request(
        body_of({"model": "m", "prompt": "Hi", "system": "Be.", "images": [PNG]})
    )
    payload = json.loads(GENERATE.encode_response(answer(), TOLD, Usage(input=1, output=2), COSTS))
    encoder = GENERATE.stream_encoder(request, TOLD)
    data = b"".join(encoder.encode(event) for event in EVENTS[:4]) + encoder.end(Usage(), COSTS)

    assert [message.role for message in request.messages] == ["system", "user"]
    assert request.stream
    assert ollama.GenerateResponse(**payload).response == "it's"
    lines = [ollama.GenerateResponse(**json.loads(line)) for line in data.splitlines()]
    assert "".join(line.response or "" for line in lines) == "it's 中"
    assert lines[-1].done


@pytest.mark.parametrize(
    "fields", [{"raw": True}, {"suffix": "x"}, {"template": "t"}, {"context": [1]}]
)
def test_the_generate_form_refuses_what_only_a_runtime_can_do(fields: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter):
        GENERATE.decode_request(body_of({"model": "m", "prompt": "Hi"} | fields))


def test_calls_without_ids_get_other_ids_in_every_answer() -> None:
    call = {"function": {"name": "look", "arguments": {}}}
    message = {"role": "assistant", "content": "", "tool_calls": [call, call]}
    answers = [
        said(message=message, done=True, created_at=f"2026-01-02T03:04:0{second}Z")
        for second in range(2)
    ]

    parts = [
        part
        for answer in answers
        for part in CODEC.decode_response(json.dumps(answer).encode()).choices[0].parts
    ]

    ids = [part.id for part in parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 4
    streamed = events_of(json.dumps(answers[0]).encode() + b"\n")
    assert [event.id for event in streamed if isinstance(event, ToolCallStarted)] == ids[:2]


def test_no_line_end_of_a_text_ends_the_line_that_the_sdk_reads() -> None:
    text = "a\u2028b\u2029c\u0085d"
    encoder = CODEC.stream_encoder(decoded(), TOLD)

    line = encoder.encode(TextDelta(text=text)).decode()

    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"]["content"] == text


def test_log_probabilities_are_a_list_of_tokens_in_this_protocol_alone() -> None:
    tokens = [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]
    line = said(message={"role": "assistant", "content": "a"}, logprobs=tokens)

    (event,) = [e for e in events_of(json.dumps(line).encode() + b"\n") if isinstance(e, TextDelta)]

    assert event.logprobs is not None
    assert json.loads(bytes(event.logprobs)) == {"content": tokens}
    written = CODEC.stream_encoder(decoded(), TOLD).encode(event)
    assert json.loads(written)["logprobs"] == tokens


def test_cache_marks_and_fields_of_other_vendors_are_named_as_dropped() -> None:
    request = Request(
        model="m",
        messages=(Message(role="user", parts=(Text(text="Hi", cache=CacheMark()),)),),
        extras={"anthropic": {"service_tier": Raw(b'"auto"')}},
    )

    encoded = CODEC.encode_request(request, Target(upstream_model="up", stream=False))

    assert encoded.dropped == ("cache_control", "service_tier")
