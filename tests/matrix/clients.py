"""A conversation as the client of each protocol holds it, in its own wire form.

An assistant's turn is what came as the answer, kept as the official SDK gives it and sends it back;
turns of the user and results of tools are written as its documentation shows.
"""

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import ollama
from anthropic._models import construct_type as construct_anthropic
from anthropic.types.beta import BetaMessage
from openai._models import construct_type as construct_openai
from openai.types.chat import ChatCompletion
from openai.types.responses import Response as OpenAIResponse

from gateway.protocols.registry import CODECS
from tests.gateway.protocols.gemini import gemini_kit
from tests.matrix.passage import sent
from tests.matrix.requests import PNG, TOOLS, ask

Turn: TypeAlias = list[dict[str, Any]]

# Where a body of the protocol holds the conversation.
PLACES = {"openai_responses": "input", "gemini": "contents"}


def body(client: str, turns: Turn) -> bytes:
    fields = json.loads(sent(client, ask(tools=TOOLS)).body)
    fields[PLACES.get(client, "messages")] = turns
    return json.dumps(fields).encode()


def said(client: str, text: str, *, shown: bool) -> Turn:
    """A turn of the user, with an image where one is shown."""
    image: dict[str, Any]
    match client:
        case "openai":
            image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
            content = [{"type": "text", "text": text}, *([image] if shown else [])]
            return [{"role": "user", "content": content}]
        case "openai_responses":
            image = {
                "type": "input_image",
                "detail": "auto",
                "image_url": f"data:image/png;base64,{PNG}",
            }
            content = [{"type": "input_text", "text": text}, *([image] if shown else [])]
            return [{"role": "user", "content": content}]
        case "anthropic":
            source = {"type": "base64", "media_type": "image/png", "data": PNG}
            image = {"type": "image", "source": source}
            content = [{"type": "text", "text": text}, *([image] if shown else [])]
            return [{"role": "user", "content": content}]
        case "gemini":
            image = {"inlineData": {"mimeType": "image/png", "data": PNG}}
            return [{"role": "user", "parts": [{"text": text}, *([image] if shown else [])]}]
        case "ollama":
            return [{"role": "user", "content": text, **({"images": [PNG]} if shown else {})}]
    raise AssertionError(f"How does a client of {client} show an image?")


def answered(client: str, call_id: str, name: str, text: str) -> Turn:
    """A result: by id where the protocol has ids, else by name and order alone."""
    match client:
        case "openai":
            return [{"role": "tool", "tool_call_id": call_id, "content": text}]
        case "openai_responses":
            return [{"type": "function_call_output", "call_id": call_id, "output": text}]
        case "anthropic":
            block = {"type": "tool_result", "tool_use_id": call_id, "content": text}
            return [{"role": "user", "content": [block]}]
        case "gemini":
            result = {"name": name, "response": {"output": text}}
            return [{"role": "user", "parts": [{"functionResponse": result}]}]
        case "ollama":
            return [{"role": "tool", "tool_name": name, "content": text}]
    raise AssertionError(f"How does a client of {client} give a result?")


def _chat(answer: bytes) -> Turn:
    completion: Any = construct_openai(type_=ChatCompletion, value=json.loads(answer))
    return [completion.choices[0].message.to_dict(warnings=False)]


def _responses(answer: bytes) -> Turn:
    response: Any = construct_openai(type_=OpenAIResponse, value=json.loads(answer))
    return [item.to_dict(warnings=False) for item in response.output]


def _anthropic(answer: bytes) -> Turn:
    message: Any = construct_anthropic(type_=BetaMessage, value=json.loads(answer))
    content = [block.to_dict(warnings=False) for block in message.content]
    return [{"role": "assistant", "content": content}]


def _gemini(answer: bytes) -> Turn:
    candidates = gemini_kit.read_by_sdk(answer).candidates or []
    content = candidates[0].content
    assert content is not None
    return [content.model_dump(mode="json", by_alias=True, exclude_none=True)]


def _ollama(answer: bytes) -> Turn:
    """As a client without the SDK keeps it, which is how a signature stays."""
    message: dict[str, Any] = json.loads(answer)["message"]
    return [message]


def ollama_sdk_turn(answer: bytes) -> Turn:
    """The SDK's own type keeps neither signatures nor the ids of calls."""
    message = ollama.ChatResponse(**json.loads(answer)).message
    return [message.model_dump(exclude_none=True)]


KEPT: dict[str, Callable[[bytes], Turn]] = {
    "openai": _chat,
    "openai_responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama": _ollama,
}
assert KEPT.keys() == CODECS.keys(), "A protocol was added: say how its clients keep an answer."
