"""OpenAI's Responses, said by the sandbox. Nothing is stored; errors are those of its chat.

Thoughts are a reasoning item: a summary, and encrypted content that is checked when it comes back.
Source: platform.openai.com/docs/api-reference/responses, …/responses-streaming. What a request
says is read in `responses_requests`.
"""

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.sandbox.answers import Answer, Ask, Call, Usage
from gateway.sandbox.dialect import Frame, Stage
from gateway.sandbox.failures import Failure
from gateway.sandbox.openai import OpenAI
from gateway.sandbox.responses_requests import encrypted, parse
from gateway.sandbox.tokens import split

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Responses(OpenAI):
    """The dialect of POST /v1/responses."""

    def parse(self, body: bytes, headers: Mapping[str, str]) -> Ask:  # noqa: ARG002 - a dialect's signature
        return parse(body)

    def answer(self, ask: Ask, answer: Answer) -> bytes:
        response = _Stream(ask)
        for _ in response.frames(answer):
            pass
        return orjson.dumps(response.ended(answer))

    def frames(self, ask: Ask, answer: Answer) -> Iterator[Frame]:
        response = _Stream(ask)
        yield from response.frames(answer)
        told = response.ended(answer)
        yield response.frame("end", f"response.{told['status']}", response=told)

    def error_frame(self, failure: Failure, request_id: str) -> bytes:
        error = orjson.loads(self.failure(failure, request_id)[1])["error"]
        # The event's own type, where the error of an answer has its kind.
        data = orjson.dumps(error | {"type": "error", "sequence_number": 0})
        return b"event: error\ndata: " + data + b"\n\n"


class _Stream:
    """One response while it is made: its events, and the items that they add up to."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._id = f"resp_{secrets.token_hex(16)}"
        self._created = int(time.time())
        self._output: list[dict[str, Any]] = []
        self._sequence = 0

    def frames(self, answer: Answer) -> Iterator[Frame]:
        response = self._response("in_progress")
        yield self.frame("open", "response.created", response=response)
        yield self.frame("open", "response.in_progress", response=response)
        if answer.reasoning:
            yield from self._thoughts(answer.reasoning)
        for call in answer.calls:
            yield from self._call(call)
        if not answer.calls:
            yield from self._message(answer)

    def frame(self, stage: Stage, kind: str, /, **fields: object) -> Frame:
        event = {"type": kind, **fields, "sequence_number": self._sequence}
        self._sequence += 1
        return Frame(stage, b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(event)))

    def ended(self, answer: Answer) -> dict[str, Any]:
        reason = _INCOMPLETE.get(answer.finish)
        response = self._response("incomplete" if reason else "completed")
        response["incomplete_details"] = {"reason": reason} if reason else None
        response["usage"] = _usage(answer.usage) if answer.usage is not None else None
        return response

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self._ask.model,
            "output": list(self._output),
            "parallel_tool_calls": True,
            "store": False,
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
        }

    def _thoughts(self, pieces: tuple[str, ...]) -> Iterator[Frame]:
        text = "".join(pieces)
        item: dict[str, Any] = {"id": _id("rs"), "type": "reasoning", "summary": []}
        place = {"item_id": item["id"], "output_index": len(self._output), "summary_index": 0}
        yield self._item("added", item)
        part = {"type": "summary_text", "text": ""}
        yield self.frame("between", "response.reasoning_summary_part.added", **place, part=part)
        for piece in pieces:
            name = "response.reasoning_summary_text.delta"
            yield self.frame("content", name, **place, delta=piece)
        done = "response.reasoning_summary_text.done"
        yield self.frame("between", done, **place, text=text)
        part = {"type": "summary_text", "text": text}
        yield self.frame("between", "response.reasoning_summary_part.done", **place, part=part)
        yield self._item("done", item | {"summary": [part], "encrypted_content": encrypted(text)})

    def _call(self, call: Call) -> Iterator[Frame]:
        item = {
            "id": _id("fc"),
            "type": "function_call",
            "status": "in_progress",
            "call_id": _id("call"),
            "name": call.name,
            "arguments": "",
        }
        place = {"item_id": item["id"], "output_index": len(self._output)}
        yield self._item("added", item)
        for piece in split(call.arguments):
            name = "response.function_call_arguments.delta"
            yield self.frame("content", name, **place, delta=piece)
        done = {"name": call.name, "arguments": call.arguments}
        yield self.frame("between", "response.function_call_arguments.done", **place, **done)
        yield self._item("done", item | {"status": "completed", "arguments": call.arguments})

    def _message(self, answer: Answer) -> Iterator[Frame]:
        """Its text; a model that says nothing begins no message at all."""
        item = {
            "id": _id("msg"),
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        place = {"item_id": item["id"], "output_index": len(self._output), "content_index": 0}
        said: list[str] = []
        for piece in answer.text:
            if not said:
                yield self._item("added", item)
                name = "response.content_part.added"
                yield self.frame("between", name, **place, part=_text(""))
            said.append(piece)
            name = "response.output_text.delta"
            yield self.frame("content", name, **place, delta=piece, logprobs=[])
        if not said:
            return
        text = "".join(said)
        yield self.frame("between", "response.output_text.done", **place, text=text, logprobs=[])
        yield self.frame("between", "response.content_part.done", **place, part=_text(text))
        yield self._item("done", item | {"status": "completed", "content": [_text(text)]})

    def _item(self, what: str, item: dict[str, Any]) -> Frame:
        index = len(self._output)
        if what == "done":
            self._output.append(item)
        name = f"response.output_item.{what}"
        return self.frame("between", name, output_index=index, item=item)


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
