"""OpenAI's chat."""

import json
from collections.abc import Iterator
from typing import ClassVar

from tests.agents.vendors.vendor import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    Loose,
    Offered,
    Said,
    Seen,
    answered,
    halves,
    sse,
    texts,
)


def _is_tool(message: Loose) -> bool:
    return bool(message["role"] == "tool")


class OpenAI:
    name: ClassVar = "openai"
    base: ClassVar = "/v1"
    path: ClassVar = "/chat/completions"
    media_type: ClassVar = "text/event-stream"
    has_signatures: ClassVar = False

    def read(self, body: Loose) -> Seen:
        messages = body["messages"]
        return Seen(
            tools=[Offered(tool["function"]["name"]) for tool in body.get("tools", [])],
            results=answered(
                [call["id"] for each in messages for call in each.get("tool_calls") or []],
                {m["tool_call_id"]: "".join(texts(m["content"])) for m in messages if _is_tool(m)},
            ),
            texts=[t for m in messages if not _is_tool(m) for t in texts(m.get("content"))],
            signatures=[],
        )

    def stream(self, said: Said) -> Iterator[bytes]:
        yield self._chunk(said, {"role": "assistant", "content": ""})
        for piece in halves(said.text):
            yield self._chunk(said, {"content": piece})
        for index, call in enumerate(said.calls):
            start = {"name": call.name, "arguments": ""}
            begun = {"index": index, "id": call.id, "type": "function", "function": start}
            yield self._chunk(said, {"tool_calls": [begun]})
            for piece in halves(call.arguments):
                more = {"index": index, "function": {"arguments": piece}}
                yield self._chunk(said, {"tool_calls": [more]})
        yield self._chunk(said, {}, "tool_calls" if said.calls else "stop")
        yield sse({**self._head(said), "choices": [], "usage": self._usage()})
        yield b"data: [DONE]\n\n"

    def whole(self, said: Said) -> bytes:
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in said.calls
        ]
        message = {
            "role": "assistant",
            "content": said.text,
            **({"tool_calls": calls} if calls else {}),
        }
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": "tool_calls" if calls else "stop",
        }
        head = {**self._head(said), "object": "chat.completion"}
        return json.dumps({**head, "choices": [choice], "usage": self._usage()}).encode()

    def _chunk(self, said: Said, delta: Loose, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return sse({**self._head(said), "choices": [choice]})

    def _head(self, said: Said) -> dict[str, Loose]:
        return {
            "id": f"chatcmpl-{said.number}",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": said.model,
        }

    def _usage(self) -> dict[str, int]:
        total = INPUT_TOKENS + OUTPUT_TOKENS
        return {
            "prompt_tokens": INPUT_TOKENS,
            "completion_tokens": OUTPUT_TOKENS,
            "total_tokens": total,
        }
