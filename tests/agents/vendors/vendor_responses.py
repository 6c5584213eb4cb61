"""OpenAI's Responses."""

import json
from collections.abc import Iterator
from typing import ClassVar

from tests.agents.vendors.vendor import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    Call,
    Loose,
    Offered,
    Said,
    Seen,
    answered,
    halves,
    sse,
    texts,
)

# Calls: what their events are called, and the field that grows.
_GROWING = {
    "function_call": ("function_call_arguments", "arguments"),
    "custom_tool_call": ("custom_tool_call_input", "input"),
}


def _tools(body: Loose) -> list[Loose]:
    """Those of the request, and those that stand among its items (as newer models get them)."""
    added = [item["tools"] for item in body["input"] if item.get("type") == "additional_tools"]
    return [*body.get("tools", []), *(tool for tools in added for tool in tools)]


def _offered(tools: list[Loose], namespace: str = "") -> Iterator[Offered]:
    for tool in tools:
        if tool["type"] == "namespace":
            yield from _offered(tool["tools"], tool["name"])
        else:
            name = tool.get("name", tool["type"])
            yield Offered(name, custom=tool["type"] == "custom", namespace=namespace)


def _called(call: Call) -> dict[str, Loose]:
    kind = "custom_tool_call" if call.custom else "function_call"
    return {
        "id": f"{'ctc' if call.custom else 'fc'}_{call.id}",
        "type": kind,
        "call_id": call.id,
        **({"namespace": call.namespace} if call.namespace else {}),
        "name": call.name,
        _GROWING[kind][1]: call.arguments,
        "status": "completed",
    }


class Responses:
    name: ClassVar = "openai_responses"
    base: ClassVar = "/v1"
    path: ClassVar = "/responses"
    media_type: ClassVar = "text/event-stream"
    has_signatures: ClassVar = True

    def read(self, body: Loose) -> Seen:
        items = [{"type": "message", **item} for item in body["input"]]
        outputs = ("function_call_output", "custom_tool_call_output")
        return Seen(
            tools=list(_offered(_tools(body))),
            results=answered(
                [i["call_id"] for i in items if i.get("type") in _GROWING],
                {i["call_id"]: "".join(texts(i["output"])) for i in items if i["type"] in outputs},
            ),
            texts=texts(body.get("instructions") or "")
            + [t for i in items for t in texts(i.get("content") or "")],
            signatures=[i["encrypted_content"] for i in items if i.get("encrypted_content")],
        )

    def _items(self, said: Said) -> list[dict[str, Loose]]:
        items: list[dict[str, Loose]] = []
        if said.thought:
            summary = [{"type": "summary_text", "text": said.thought}]
            items.append(
                {
                    "id": f"rs_{said.number}",
                    "type": "reasoning",
                    "summary": summary,
                    "encrypted_content": said.signature,
                }
            )
        if said.text:
            content = [{"type": "output_text", "text": said.text, "annotations": []}]
            items.append(
                {
                    "id": f"msg_{said.number}",
                    "type": "message",
                    "role": "assistant",
                    "status": "completed",
                    "content": content,
                }
            )
        return items + [_called(call) for call in said.calls]

    def stream(self, said: Said) -> Iterator[bytes]:
        events = [("response.created", {"response": self._response(said, [], "in_progress")})]
        for index, item in enumerate(items := self._items(said)):
            events += self._told(index, item)
        events.append(
            ("response.completed", {"response": self._response(said, items, "completed")})
        )
        for number, (kind, fields) in enumerate(events):
            yield sse({"type": kind, "sequence_number": number, **fields}, kind)

    def _told(self, index: int, item: dict[str, Loose]) -> list[tuple[str, dict[str, Loose]]]:
        at = {"output_index": index, "item_id": item["id"]}
        empty: dict[str, Loose] = {"content": []} if item["type"] == "message" else {}
        empty = {_GROWING[item["type"]][1]: ""} if item["type"] in _GROWING else empty
        empty = {"summary": []} if item["type"] == "reasoning" else empty
        begun = {**item, **empty}
        told = [("response.output_item.added", {"output_index": index, "item": begun})]
        match item["type"]:
            case "message":
                part = item["content"][0]
                inner = {**at, "content_index": 0}
                told.append(
                    ("response.content_part.added", {**inner, "part": {**part, "text": ""}})
                )
                told += [
                    ("response.output_text.delta", {**inner, "delta": piece, "logprobs": []})
                    for piece in halves(part["text"])
                ]
                told.append(
                    ("response.output_text.done", {**inner, "text": part["text"], "logprobs": []})
                )
                told.append(("response.content_part.done", {**inner, "part": part}))
            case "reasoning":
                part = item["summary"][0]
                inner = {**at, "summary_index": 0}
                told.append(
                    (
                        "response.reasoning_summary_part.added",
                        {**inner, "part": {**part, "text": ""}},
                    )
                )
                told.append(
                    ("response.reasoning_summary_text.delta", {**inner, "delta": part["text"]})
                )
                told.append(
                    ("response.reasoning_summary_text.done", {**inner, "text": part["text"]})
                )
                told.append(("response.reasoning_summary_part.done", {**inner, "part": part}))
            case kind:
                event, name = _GROWING[kind]
                told += [
                    (f"response.{event}.delta", {**at, "delta": piece})
                    for piece in halves(item[name])
                ]
                told.append((f"response.{event}.done", {**at, name: item[name]}))
        return [*told, ("response.output_item.done", {"output_index": index, "item": item})]

    def whole(self, said: Said) -> bytes:
        return json.dumps(self._response(said, self._items(said), "completed")).encode()

    def _response(self, said: Said, items: list[dict[str, Loose]], status: str) -> dict[str, Loose]:
        usage = {
            "input_tokens": INPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": OUTPUT_TOKENS,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        }
        return {
            "id": f"resp_{said.number}",
            "object": "response",
            "created_at": 1_700_000_000,
            "status": status,
            "model": said.model,
            "output": items,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "error": None,
            "incomplete_details": None,
            "usage": usage if status == "completed" else None,
        }
