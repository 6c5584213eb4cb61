"""The wire types of answers and streams, as lenient as vendors are loose, and the shared encoders.

Unknown fields are ignored; a field of which vendors send several types has all of them. What is
rarely read (usage, errors, log probabilities) stays raw until somebody asks. Requests are decoded
field by field in `request` and `messages_in`, since their unknown fields must survive.
"""

from typing import Any, Literal

import msgspec

from gateway.protocols.shared.raws import Object, Raw, decode_object, encode, first, is_set, raw

# Read and written through this module by the rest of the codec.
__all__ = ["Object", "Raw", "decode_object", "encode", "first", "is_set", "raw"]

Content = str | list[dict[str, Any]] | None

DecodeError = msgspec.DecodeError
NOTHING = Raw()


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCall(msgspec.Struct):
    """A call, or a fragment of one. `custom` ones are free text instead of JSON."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: Raw = NOTHING


class Audio(msgspec.Struct):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None


class Said(msgspec.Struct):
    """What a delta and a finished message have in common."""

    content: Content = None
    reasoning_content: str | None = None  # DeepSeek, Z.ai, Moonshot, xAI, vLLM
    reasoning: str | None = None  # OpenRouter, Groq, Cerebras
    reasoning_details: Raw = NOTHING  # OpenRouter
    refusal: str | None = None
    audio: Audio | None = None
    annotations: list[Raw] | None = None
    function_call: Function | None = None


class Delta(Said):
    tool_calls: list[ToolCall] | None = None


class Message(Said):
    tool_calls: list[Raw] | None = None


class ChunkChoice(msgspec.Struct):
    delta: Delta | None = None
    index: int | None = 0
    finish_reason: str | None = None
    logprobs: Raw = NOTHING
    stop_reason: int | str | None = None  # vLLM: the stop string that matched


class XGroq(msgspec.Struct):
    usage: Raw = NOTHING
    error: Raw = NOTHING


class Chunk(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[ChunkChoice] | None = None
    usage: Raw = NOTHING
    error: Raw = NOTHING
    x_groq: XGroq | None = None
    # An error without an `error` object, where the frame's event says `error`.
    message: Raw = NOTHING


class PlainDelta(msgspec.Struct, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    refusal: None = None


class PlainChoice(msgspec.Struct, forbid_unknown_fields=True):
    delta: PlainDelta
    index: Literal[0] = 0
    finish_reason: None = None
    logprobs: None = None


class PlainChunk(msgspec.Struct, forbid_unknown_fields=True):
    """A chunk that holds a piece of text and nothing else that means anything: most of a stream."""

    choices: tuple[PlainChoice]
    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    usage: None = None
    obfuscation: str | None = None  # OpenAI's padding against traffic analysis


class Logprobs(msgspec.Struct):
    content: list[Raw] | None = None
    refusal: list[Raw] | None = None


class ChoicesOnly(msgspec.Struct):
    choices: list[Raw] | None = None


class ReasoningDetail(msgspec.Struct):
    """An entry of OpenRouter's `reasoning_details`."""

    type: str | None = None
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    format: str | None = None


class PromptDetails(msgspec.Struct):
    cached_tokens: int | float | None = None
    cache_write_tokens: int | float | None = None
    audio_tokens: int | float | None = None
    image_tokens: int | float | None = None


class CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | float | None = None
    audio_tokens: int | float | None = None
    image_tokens: int | float | None = None


class ServerTools(msgspec.Struct):
    web_search_requests: int | float | None = None


class Usage(msgspec.Struct):
    prompt_tokens: int | float | None = None
    completion_tokens: int | float | None = None
    total_tokens: int | float | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | float | None = None  # DeepSeek
    cached_tokens: int | float | None = None  # Moonshot
    num_cached_tokens: int | float | None = None  # Mistral
    reasoning_tokens: int | float | None = None  # Perplexity
    server_tool_use_details: ServerTools | None = None  # OpenRouter


decode_objects = msgspec.json.Decoder(list[Object]).decode
decode_raws = msgspec.json.Decoder(list[Raw]).decode
decode_chunk = msgspec.json.Decoder(Chunk).decode
decode_plain = msgspec.json.Decoder(PlainChunk).decode
decode_tool_call = msgspec.json.Decoder(ToolCall).decode
decode_details = msgspec.json.Decoder(list[ReasoningDetail]).decode
decode_usage = msgspec.json.Decoder(Usage).decode
decode_logprobs = msgspec.json.Decoder(Logprobs).decode
decode_choices = msgspec.json.Decoder(ChoicesOnly).decode


def arguments_text(arguments: str | dict[str, Any] | None) -> str:
    """Arguments as JSON text. Some vendors send the object itself instead of its text."""
    if isinstance(arguments, dict):
        return encode(arguments).decode()
    return arguments or ""
