"""What a request means, aspect by aspect: what two protocols must agree on, however they write it.

Borders of messages mean nothing here (protocols join neighbours of one role), and neither do the
ids of calls and the order of results: which result answers which call does.
"""

import json
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from gateway.ir.request import (
    Audio,
    File,
    Image,
    Media,
    Part,
    Reasoning,
    RedactedReasoning,
    Refusal,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from tests.matrix.readers import canonical

Meaning: TypeAlias = dict[str, Any]
Loose: TypeAlias = Any  # any JSON

PLAIN = (
    "max_tokens", "temperature", "top_p", "top_k", "stop", "seed", "n", "presence_penalty",
    "frequency_penalty", "logprobs", "top_logprobs", "parallel_tool_calls", "user",
)  # fmt: skip


def meaning(request: Request) -> Meaning:
    said = _said(request)
    told: Meaning = {name: getattr(request, name) for name in PLAIN}
    told |= {"stream": request.stream, "instructions": said.pop("system"), **said}
    told |= _tools(request)
    form = request.response_format
    told["format"] = form and (form.mode, _json(form.schema))
    reasoning = request.reasoning
    told["effort"] = reasoning and (reasoning.enabled, reasoning.effort)
    told["budget"] = reasoning.budget_tokens if reasoning else None
    told["extras"] = {
        protocol: {name: _json(value) for name, value in fields.items()}
        for protocol, fields in request.extras.items()
    }
    return told


def lost(before: Request, after: Request) -> set[str]:
    """The aspects in which two requests differ."""
    was, became = meaning(before), meaning(after)
    return {name for name in was if was[name] != became[name]}


def _said(request: Request) -> Meaning:
    reader = _Reader()
    for message in request.messages:
        side = {"developer": "system", "tool": "user"}.get(message.role, message.role)
        for part in message.parts:
            reader.part(side, part)
    return {
        "system": reader.texts.pop("system", []),
        "texts": reader.order,
        "images": reader.images,
        "files": reader.files,
        "audio": reader.audio,
        "calls": [(call.name, canonical(call.arguments)) for call in reader.calls],
        "results": sorted(reader.results),
        "failures": reader.failures,
        "thoughts": reader.thoughts,
        "signatures": reader.signatures,
        "cache": reader.marks,
    }


class _Reader:
    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.order: list[tuple[str, str]] = []
        self.images: list[Media] = []
        self.files: list[tuple[str, Media]] = []
        self.audio: list[str] = []
        self.calls: list[ToolCall] = []
        self.results: list[tuple[int, str]] = []  # position of the call, text
        self.failures: list[bool] = []
        self.thoughts: list[str] = []
        self.signatures: list[tuple[str, str]] = []
        self.marks: list[str] = []

    def part(self, side: str, part: Part) -> None:
        if getattr(part, "cache", None) is not None:
            self.marks.append(getattr(part, "text", type(part).__name__))
        match part:
            case Text() | Refusal() if side == "system":
                self.texts.setdefault(side, []).append(part.text)
            case Text() | Refusal():
                self.order.append((side, part.text))
            case Image() | File() | Audio():
                self._shown(part)
            case ToolCall():
                self.calls.append(part)
            case ToolResult():
                self._result(part)
            case Reasoning():
                self._thought(part)
            case RedactedReasoning():
                self.signatures.append((part.signed_by, part.data))

    def _shown(self, part: Image | File | Audio) -> None:
        match part:
            case Image():
                self.images.append(_source(part.source))
            case File():
                self.files.append((part.text, _source(part.source)))
            case Audio():
                self.audio.append(part.source.data)

    def _thought(self, part: Reasoning) -> None:
        if part.text:
            self.thoughts.append(part.text)
        if part.signature:
            self.signatures.append((part.signed_by, part.signature))

    def _result(self, part: ToolResult) -> None:
        ids = [call.id for call in self.calls]
        text = "".join(piece.text for piece in part.parts if isinstance(piece, Text))
        self.results.append((ids.index(part.call_id) if part.call_id in ids else -1, text))
        self.failures.append(part.is_error)
        self.images += [_source(piece.source) for piece in part.parts if isinstance(piece, Image)]


def _source(source: Media) -> Media:
    """The type of what a URL shows is the vendor's to find out."""
    return msgspec.structs.replace(source, media_type="") if source.url else source


def _tools(request: Request) -> Meaning:
    told: Meaning = {"tools": [], "vendor tools": []}
    for tool in request.tools:
        if isinstance(tool, Tool):
            told["tools"].append((tool.name, tool.description, _json(tool.parameters)))
        else:
            told["vendor tools"].append((tool.kind, _json(tool.raw)))
    choice = request.tool_choice
    told["choice"] = choice and (choice.mode, choice.name)
    return told


def _json(value: Raw | None) -> Loose:
    return json.loads(bytes(value)) if value is not None and len(value) else None
