"""The wire types of Gemini's answers and streams, and raw JSON as its requests are read.

Proto JSON takes every field in two spellings, `camelCase` and `snake_case`, and clients send both:
`spelled` makes them one. Requests are read field by field, since unknown fields must survive;
answers have types, as lenient as the vendor is loose (`content` without parts, `args` left out).
"""

import msgspec

from gateway.protocols.shared.raws import Object, Raw, decode_object, encode, first, is_set, raw

# Read and written through this module by the rest of the codec.
__all__ = ["Object", "Raw", "decode_object", "encode", "first", "is_set", "raw"]

NAME = "gemini"
NOTHING = Raw()

DecodeError = msgspec.DecodeError
Json = dict[str, object]  # an object that we write
Count = int | float | dict[str, int | float] | None  # some gateways write `{"count": n}`


def camel(name: str) -> str:
    """`function_call` → `functionCall`; a leading underscore stays."""
    if "_" not in name[1:]:
        return name
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def spelled(fields: Object) -> Object:
    """The object with its own keys in camelCase; what is inside its values stays as it is."""
    if all("_" not in name for name in fields):
        return fields
    return {camel(name): value for name, value in fields.items()}


class FunctionCall(msgspec.Struct, rename="camel"):
    name: str | None = None
    id: str | None = None
    args: Raw = NOTHING


class Blob(msgspec.Struct, rename="camel"):
    mime_type: str | None = None
    data: str | None = None


class Part(msgspec.Struct, rename="camel"):
    """What most parts of an answer are; any other is taken raw."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None


class Content(msgspec.Struct):
    parts: list[Raw] | None = None
    role: str | None = None


class Candidate(msgspec.Struct, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    index: int | None = None
    logprobs_result: Raw = NOTHING
    grounding_metadata: Raw = NOTHING
    citation_metadata: Raw = NOTHING


class PromptFeedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class Answer(msgspec.Struct, rename="camel"):
    """A whole answer, and every chunk of a stream."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Raw = NOTHING
    usage_metadata: Raw = NOTHING
    model_version: str | None = None
    response_id: str | None = None
    error: Raw = NOTHING


class ModalityCount(msgspec.Struct, rename="camel"):
    modality: str = ""
    token_count: int | float | None = None


class UsageMetadata(msgspec.Struct, rename="camel"):
    prompt_token_count: Count = None
    cached_content_token_count: Count = None
    candidates_token_count: Count = None
    thoughts_token_count: Count = None
    tool_use_prompt_token_count: Count = None
    total_token_count: Count = None
    prompt_tokens_details: list[ModalityCount] | None = None
    cache_tokens_details: list[ModalityCount] | None = None
    candidates_tokens_details: list[ModalityCount] | None = None
    tool_use_prompt_tokens_details: list[ModalityCount] | None = None


class Grounding(msgspec.Struct, rename="camel"):
    web_search_queries: list[str] | None = None


class Source(msgspec.Struct, rename="camel"):
    """A page, or a passage of what the vendor retrieved; or what an answer recites."""

    uri: str | None = None
    title: str | None = None
    text: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Chunk(msgspec.Struct, rename="camel"):
    web: Source | None = None
    retrieved_context: Source | None = None


class Segment(msgspec.Struct, rename="camel"):
    part_index: int | None = None
    start_index: int | None = None
    end_index: int | None = None


class Support(msgspec.Struct, rename="camel"):
    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class Sources(msgspec.Struct, rename="camel"):
    """The part of `groundingMetadata` that other protocols have words for."""

    grounding_chunks: list[Chunk] | None = None
    grounding_supports: list[Support] | None = None


class Recited(msgspec.Struct, rename="camel"):
    """`citationMetadata`; Vertex says `citations`."""

    citation_sources: list[Source] | None = None
    citations: list[Source] | None = None


class Logprob(msgspec.Struct, rename="camel"):
    token: str = ""
    token_id: int | None = None
    log_probability: float = 0.0


class TopCandidates(msgspec.Struct):
    candidates: list[Logprob] | None = None


class LogprobsResult(msgspec.Struct, rename="camel"):
    chosen_candidates: list[Logprob] | None = None
    top_candidates: list[TopCandidates] | None = None


decode_answer = msgspec.json.Decoder(Answer).decode
decode_part = msgspec.json.Decoder(Part).decode
decode_raws = msgspec.json.Decoder(list[Raw]).decode
decode_feedback = msgspec.json.Decoder(PromptFeedback).decode
decode_usage = msgspec.json.Decoder(UsageMetadata).decode
decode_sources = msgspec.json.Decoder(Sources).decode
decode_recited = msgspec.json.Decoder(Recited).decode
decode_grounding = msgspec.json.Decoder(Grounding).decode
decode_logprobs = msgspec.json.Decoder(LogprobsResult).decode
