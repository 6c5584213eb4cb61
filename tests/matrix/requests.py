"""Requests that a client of any protocol may want to make, as ours: one scenario a feature."""

import base64
import json
from typing import Any, TypeAlias

from msgspec import Raw

from gateway.ir.request import (
    Audio,
    CacheMark,
    File,
    Image,
    Media,
    Message,
    OtherTool,
    Part,
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

Loose: TypeAlias = Any  # fields of our types, as the scenarios write them

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(40))).decode()
PDF = base64.b64encode(b"%PDF-1.7 it's nothing").decode()
WAV = base64.b64encode(b"RIFF\x00\x00\x00\x00WAVEfmt ").decode()
SCHEMA = {
    "type": "object",
    "properties": {
        "place": {
            "type": "object",
            "properties": {
                "names": {"type": "array", "items": {"type": "string", "description": "it's"}},
                "kind": {"enum": ["a", "b", None]},
                "at": {"anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/$defs/spot"}]},
            },
            "required": ["names"],
            "additionalProperties": False,
        }
    },
    "required": ["place"],
    "additionalProperties": False,
    "$defs": {"spot": {"type": "string", "pattern": "^[a-z]+$"}},
}


def raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def model(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def results(*parts: Part) -> tuple[Message, ...]:
    return tuple(Message(role="tool", parts=(part,)) for part in parts)


HI = user(Text(text="It's me. Hi!"))
LOOK = Tool(name="look", description="Look at a place, it's easy.", parameters=raw(SCHEMA))
HEAR = Tool(name="hear", description="", parameters=raw({"type": "object", "properties": {}}))
PLACE = '{"place": {"names": ["it\'s", "日本"], "at": 3}}'


def call(index: int, name: str = "look", arguments: str = PLACE) -> ToolCall:
    return ToolCall(id=f"call_{index}", name=name, arguments=arguments, index=index)


def result(index: int, text: str, name: str = "look", **more: Loose) -> ToolResult:
    parts = (Text(text=text), *more.pop("parts", ()))
    return ToolResult(call_id=f"call_{index}", name=name, parts=parts, **more)


def ask(*messages: Message, **fields: Loose) -> Request:
    """Every request names a limit, since one protocol demands it."""
    wanted: dict[str, Loose] = {
        "model": "m",
        "messages": messages or (HI,),
        "max_tokens": 4096,
        "stream": False,
    }
    return Request(**wanted | fields)


def signed(protocol: str, signature: str) -> Message:
    thought = Reasoning(text="I should look.", signature=signature, signed_by=protocol)
    return model(thought, call(0))


TOOLS = (LOOK, HEAR)
IMAGE = Image(source=Media(data=PNG, media_type="image/png"))
IMAGE_URL = Image(source=Media(url="https://x.test/cat.png", media_type="image/png"))
PDF_FILE = File(source=Media(data=PDF, media_type="application/pdf"), filename="it.pdf")
CACHED = Text(text="A long text.", cache=CacheMark())

REQUESTS: dict[str, Request] = {
    "text": ask(),
    "system prompt": ask(Message(role="system", parts=(Text(text="Be brief."),)), HI),
    "several turns": ask(HI, model(Text(text="Hello.")), user(Text(text="And then?"))),
    "late system prompt": ask(
        HI, model(Text(text="Hello.")), HI, Message(role="system", parts=(Text(text="Be brief."),))
    ),
    "image by bytes": ask(user(Text(text="What is it?"), IMAGE)),
    "image by URL": ask(user(Text(text="What is it?"), IMAGE_URL)),
    "file by bytes": ask(user(Text(text="Read it."), PDF_FILE)),
    "file by URL": ask(
        user(
            Text(text="Read it."),
            File(source=Media(url="https://x.test/it.pdf", media_type="application/pdf")),
        )
    ),
    "file as text": ask(
        user(Text(text="Read it."), File(source=Media(), text="It's text.", filename="it.txt"))
    ),
    "audio": ask(
        user(
            Text(text="Listen."),
            Audio(source=Media(data=WAV, media_type="audio/wav"), format="wav"),
        )
    ),
    "tools": ask(tools=TOOLS),
    "tool choice auto": ask(tools=TOOLS, tool_choice=ToolChoice(mode="auto")),
    "tool choice none": ask(tools=TOOLS, tool_choice=ToolChoice(mode="none")),
    "tool choice required": ask(tools=TOOLS, tool_choice=ToolChoice(mode="required")),
    "tool choice by name": ask(tools=TOOLS, tool_choice=ToolChoice(mode="tool", name="look")),
    "no parallel calls": ask(
        tools=TOOLS, tool_choice=ToolChoice(mode="auto"), parallel_tool_calls=False
    ),
    "tool of a vendor": ask(
        tools=(
            LOOK,
            OtherTool(
                protocol="anthropic",
                kind="web_search_20250305",
                raw=raw({"type": "web_search_20250305", "name": "web_search"}),
            ),
        )
    ),
    "tool of a vendor, offered": ask(
        tools=(
            LOOK,
            OtherTool(
                protocol="openai_responses",
                kind="web_search",
                raw=raw({"type": "web_search"}),
                optional=True,
            ),
        )
    ),
    "one call and its result": ask(HI, model(call(0)), *results(result(0, "Nice.")), tools=TOOLS),
    "parallel calls": ask(
        HI,
        model(Text(text="Let me."), call(0), call(1, "hear", "{}")),
        *results(result(0, "Nice."), result(1, "Loud.", "hear")),
        user(Text(text="Go on.")),
        tools=TOOLS,
    ),
    "results in another order": ask(
        HI,
        model(call(0), call(1, "hear", "{}")),
        *results(result(1, "Loud.", "hear"), result(0, "Nice.")),
        tools=TOOLS,
    ),
    "two calls of one tool": ask(
        HI,
        model(call(0), call(1, arguments='{"place": {"names": []}}')),
        *results(result(0, "First."), result(1, "Second.")),
        tools=TOOLS,
    ),
    "two calls of one tool, answered the other way around": ask(
        HI,
        model(call(0), call(1, arguments='{"place": {"names": []}}')),
        *results(result(1, "Second."), result(0, "First.")),
        tools=TOOLS,
    ),
    "failed tool": ask(
        HI, model(call(0)), *results(result(0, "Not found.", is_error=True)), tools=TOOLS
    ),
    "result with an object": ask(
        HI, model(call(0)), *results(result(0, '{"it\'s": [1, 2]}')), tools=TOOLS
    ),
    "result with an image": ask(
        HI, model(call(0)), *results(result(0, "See:", parts=(IMAGE,))), tools=TOOLS
    ),
    "thoughts unsigned": ask(
        HI, model(Reasoning(text="Hm."), Text(text="Hello.")), user(Text(text="And?"))
    ),
    "thoughts of anthropic": ask(HI, signed("anthropic", "c2ln"), *results(result(0, "Nice."))),
    "thoughts of gemini": ask(HI, signed("gemini", "c2ln"), *results(result(0, "Nice."))),
    "thoughts of responses": ask(
        HI, signed("openai_responses", "rs_1.c2ln"), *results(result(0, "Nice."))
    ),
    "redacted thoughts": ask(
        HI,
        model(RedactedReasoning(data="c2ln", signed_by="anthropic"), call(0)),
        *results(result(0, "Nice.")),
    ),
    "any JSON": ask(response_format=ResponseFormat(mode="json")),
    "JSON by schema": ask(
        response_format=ResponseFormat(mode="schema", name="it", schema=raw(SCHEMA), strict=True)
    ),
    "stop sequences": ask(stop=("END", "it's")),
    "seed": ask(seed=7),
    "several answers": ask(n=2),
    "logprobs": ask(logprobs=True, top_logprobs=3),
    "sampling": ask(temperature=0.5, top_p=0.9),
    "top k": ask(top_k=40),
    "penalties": ask(presence_penalty=0.5, frequency_penalty=0.25),
    "effort": ask(reasoning=ReasoningConfig(effort="high")),
    "budget": ask(reasoning=ReasoningConfig(budget_tokens=2048)),
    "no thoughts": ask(reasoning=ReasoningConfig(enabled=False)),
    "user": ask(user="user-1"),
    "cache marks": ask(
        Message(role="system", parts=(CACHED,)), user(CACHED, Text(text="What is it?"))
    ),
    "what one vendor has": ask(extras={"anthropic": {"service_tier": raw("auto")}}),
    "streamed": ask(stream=True),
}
