"""Anthropic's messages."""

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


class Anthropic:
    name: ClassVar = "anthropic"
    base: ClassVar = "/v1"
    path: ClassVar = "/messages"
    media_type: ClassVar = "text/event-stream"
    has_signatures: ClassVar = True

    def read(self, body: Loose) -> Seen:
        blocks = [
            block
            for message in body["messages"]
            if isinstance(message["content"], list)
            for block in message["content"]
        ]
        results = [block for block in blocks if block["type"] == "tool_result"]
        return Seen(
            tools=[Offered(tool["name"]) for tool in body.get("tools", [])],
            results=answered(
                [block["id"] for block in blocks if block["type"] == "tool_use"],
                {each["tool_use_id"]: "".join(texts(each.get("content", ""))) for each in results},
            ),
            texts=texts(body.get("system", ""))
            + [t for message in body["messages"] for t in texts(message["content"])],
            signatures=[block["signature"] for block in blocks if block["type"] == "thinking"],
        )

    def _blocks(self, said: Said) -> list[dict[str, Loose]]:
        blocks: list[dict[str, Loose]] = []
        if said.thought:
            blocks.append(
                {"type": "thinking", "thinking": said.thought, "signature": said.signature}
            )
        if said.text:
            blocks.append({"type": "text", "text": said.text})
        for call in said.calls:
            given = json.loads(call.arguments)
            blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": given})
        return blocks

    def stream(self, said: Said) -> Iterator[bytes]:
        message = {**self._message(said), "content": [], "stop_reason": None}
        yield sse({"type": "message_start", "message": message}, "message_start")
        yield sse({"type": "ping"}, "ping")
        for index, block in enumerate(self._blocks(said)):
            empty = {"text": "", "thinking": "", "signature": "", "input": {}}
            begun = {name: empty.get(name, value) for name, value in block.items()}
            start = {"type": "content_block_start", "index": index, "content_block": begun}
            yield sse(start, "content_block_start")
            for delta in self._deltas(block):
                told = {"type": "content_block_delta", "index": index, "delta": delta}
                yield sse(told, "content_block_delta")
            yield sse({"type": "content_block_stop", "index": index}, "content_block_stop")
        stop = {"stop_reason": self._stop(said), "stop_sequence": None}
        usage = {"output_tokens": OUTPUT_TOKENS}
        yield sse({"type": "message_delta", "delta": stop, "usage": usage}, "message_delta")
        yield sse({"type": "message_stop"}, "message_stop")

    def _deltas(self, block: dict[str, Loose]) -> list[dict[str, str]]:
        match block["type"]:
            case "thinking":
                return [
                    {"type": "thinking_delta", "thinking": block["thinking"]},
                    {"type": "signature_delta", "signature": block["signature"]},
                ]
            case "text":
                return [{"type": "text_delta", "text": piece} for piece in halves(block["text"])]
        pieces = halves(json.dumps(block["input"]))
        return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]

    def whole(self, said: Said) -> bytes:
        return json.dumps(self._message(said)).encode()

    def _stop(self, said: Said) -> str:
        return "tool_use" if said.calls else "end_turn"

    def _message(self, said: Said) -> dict[str, Loose]:
        return {
            "id": f"msg_{said.number}",
            "type": "message",
            "role": "assistant",
            "model": said.model,
            "content": self._blocks(said),
            "stop_reason": self._stop(said),
            "stop_sequence": None,
            "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
        }
