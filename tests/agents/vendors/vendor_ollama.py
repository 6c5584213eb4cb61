"""Ollama's chat: NDJSON."""

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
    halves,
)


class Ollama:
    name: ClassVar = "ollama"
    base: ClassVar = ""
    path: ClassVar = "/api/chat"
    media_type: ClassVar = "application/x-ndjson"
    has_signatures: ClassVar = False

    def read(self, body: Loose) -> Seen:
        messages = body["messages"]
        return Seen(
            tools=[Offered(tool["function"]["name"]) for tool in body.get("tools", [])],
            results=[message["content"] for message in messages if message["role"] == "tool"],
            texts=[message.get("content", "") for message in messages if message["role"] != "tool"],
            signatures=[],
        )

    def stream(self, said: Said) -> Iterator[bytes]:
        if said.thought:
            yield self._line(said, {"content": "", "thinking": said.thought})
        for piece in halves(said.text):
            yield self._line(said, {"content": piece})
        for call in self._calls(said):
            yield self._line(said, {"content": "", "tool_calls": [call]})
        yield self._line(said, {"content": ""}, done=True)

    def whole(self, said: Said) -> bytes:
        calls = self._calls(said)
        tools = {"tool_calls": calls} if calls else {}
        return self._line(said, {"content": said.text, **tools}, done=True)

    def _calls(self, said: Said) -> list[dict[str, Loose]]:
        return [
            {"function": {"name": call.name, "arguments": json.loads(call.arguments)}}
            for call in said.calls
        ]

    def _line(self, said: Said, message: dict[str, Loose], *, done: bool = False) -> bytes:
        told = {
            "model": said.model,
            "created_at": f"2026-01-02T03:04:05.{said.number:09}Z",
            "done": done,
        }
        if done:
            told["done_reason"] = "stop"
            told |= {"prompt_eval_count": INPUT_TOKENS, "eval_count": OUTPUT_TOKENS}
        whole = {**told, "message": {"role": "assistant", **message}}
        return json.dumps(whole).encode() + b"\n"
