"""Ollama's chat, said by the sandbox: lines of JSON, streamed unless told not to.

Ollama shows no seal on thoughts and withholds nothing by policy: `content-filter` is a plain 400
here, and with a number an answer that stops. Its context window truncates in silence by default, so
`context-length` answers as a server that was told not to.
Sources: docs.ollama.com/api/chat, …/api/errors, …/api/streaming
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
import orjson

from gateway.sandbox.answers import Answer, Ask, Finish, Usage, described
from gateway.sandbox.dialect import Frame
from gateway.sandbox.failures import Failure, Kind, Refused
from gateway.sandbox.tokens import count

_DONE: dict[Finish, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "stop",
    "content_filter": "stop",
}

# kind: status, message
_ERRORS: dict[Kind, tuple[int, str]] = {
    "invalid": (400, "invalid request"),
    "invalid_json": (400, "invalid character in request body"),
    "too_large": (413, "http: request body too large"),
    "invalid_key": (401, "unauthorized"),
    "no_credit": (402, "you have reached your usage limit, upgrade for higher limits"),
    "not_found": (404, "model '{model}' not found"),
    "no_route": (404, "404 page not found"),
    "context_length": (
        400,
        "the input length exceeds the context length ({tokens} tokens, at most {limit})",
    ),
    "content_filter": (400, "the prompt was blocked by a content filter"),
    "rate_limited": (429, "too many requests, try again in {seconds}s"),
    "server": (500, "an error was encountered while running the model: unexpected EOF"),
    "overloaded": (503, "server busy, please try again.  maximum pending requests exceeded"),
}


class Function(msgspec.Struct):
    name: str
    arguments: dict[str, object] = {}
    description: str = ""
    parameters: dict[str, object] | None = None


class Tool(msgspec.Struct):
    function: Function


class Message(msgspec.Struct):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    images: list[str] | None = None
    tool_calls: list[Tool] | None = None


class Options(msgspec.Struct):
    num_predict: int | None = None
    stop: str | list[str] | None = None


class Request(msgspec.Struct):
    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    tools: list[Tool] | None = None
    options: Options | None = None


_decode = msgspec.json.Decoder(Request).decode


class Ollama:
    """The dialect of POST /api/chat."""

    request_id_header = "x-request-id"
    stream_type = b"application/x-ndjson"
    garbage = b'{"message": {"role": "assistant", "cont\n'

    def parse(self, body: bytes, headers: Mapping[str, str]) -> Ask:  # noqa: ARG002 - a dialect's signature
        try:
            request = _decode(body)
        except msgspec.ValidationError as error:
            raise Refused(Failure(kind="invalid", message=f"invalid request: {error}")) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refused(Failure(kind="invalid_json")) from error
        options = request.options or Options()
        stop = [options.stop] if isinstance(options.stop, str) else options.stop or []
        limit = options.num_predict
        answered = request.messages[-1].role == "tool"
        tools = () if answered else (tool.function.name for tool in request.tools or ())
        return Ask(
            model=request.model,
            text=_echoed(request.messages),
            input_tokens=sum(map(count, _texts(request))),
            tools=tuple(tools),
            max_tokens=limit if limit is not None and limit > 0 else None,
            stop=tuple(stop),
            stream=request.stream is not False,
        )

    def answer(self, ask: Ask, answer: Answer) -> bytes:
        message = _message("".join(answer.text))
        if answer.reasoning:
            message["thinking"] = "".join(answer.reasoning)
        if answer.calls:
            message["tool_calls"] = _calls(answer)
        return orjson.dumps(_line(ask, message) | _end(answer))

    def frames(self, ask: Ask, answer: Answer) -> Iterator[Frame]:
        said = [_message("") | {"thinking": piece} for piece in answer.reasoning]
        if answer.calls:
            said.append(_message("") | {"tool_calls": _calls(answer)})
        for message in said:
            yield _content(ask, message)
        for piece in answer.text:
            yield _content(ask, _message(piece))
        yield Frame("end", orjson.dumps(_line(ask, _message("")) | _end(answer)) + b"\n")

    def failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:  # noqa: ARG002
        status, message = _ERRORS[failure.kind]
        text = failure.message or message.format_map(failure.facts)
        return failure.status or status, orjson.dumps({"error": text})

    def error_frame(self, failure: Failure, request_id: str) -> bytes:
        return self.failure(failure, request_id)[1] + b"\n"


def _echoed(messages: list[Message]) -> str:
    if messages[-1].role == "tool":
        results: list[str] = []
        for message in reversed(messages):
            if message.role != "tool":
                break
            results.append(message.content)
        return "\n".join(reversed(results))
    users = [message for message in messages if message.role == "user"]
    return _text(users[-1] if users else messages[-1])


def _text(message: Message) -> str:
    shown = [described("image", data) for data in message.images or ()]
    return "\n".join(filter(None, [message.content, *shown]))


def _texts(request: Request) -> Iterator[str]:
    """Everything that counts as input. Schemas and arguments count in their compact form."""
    for tool in request.tools or ():
        yield tool.function.name
        yield tool.function.description
        yield orjson.dumps(tool.function.parameters or {}).decode()
    for message in request.messages:
        yield _text(message)
        for call in message.tool_calls or ():
            yield call.function.name
            yield orjson.dumps(call.function.arguments).decode()


def _message(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [
        {
            "function": {
                "index": index,
                "name": call.name,
                "arguments": orjson.Fragment(call.arguments),
            }
        }
        for index, call in enumerate(answer.calls)
    ]


def _line(ask: Ask, message: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"model": ask.model, "created_at": now, "message": message, "done": False}


def _content(ask: Ask, message: dict[str, Any]) -> Frame:
    return Frame("content", orjson.dumps(_line(ask, message)) + b"\n")


def _end(answer: Answer) -> dict[str, Any]:
    end: dict[str, Any] = {"done": True, "done_reason": _DONE[answer.finish]}
    return end | _usage(answer.usage) if answer.usage is not None else end


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "total_duration": 3_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": usage.input,
        "prompt_eval_duration": 1_000_000,
        "eval_count": usage.output,
        "eval_duration": 1_000_000,
    }
