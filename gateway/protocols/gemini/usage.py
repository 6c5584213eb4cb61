"""Usage: Gemini's counts → our disjoint buckets, and back with the costs.

`promptTokenCount` includes the cached content; `candidatesTokenCount` excludes the thoughts, and
`promptTokenCount` what server-side tools put into the prompt. Counts by modality split the whole:
video and documents cost what text costs, so they count as plain input. Source:
https://ai.google.dev/api/generate-content#UsageMetadata, https://ai.google.dev/gemini-api/docs/pricing

A search is billed by the query from Gemini 3 on, before by the request that was grounded.
"""

import msgspec

from ccapi.core.usage import Usage, count
from gateway.ir.response import Costs
from gateway.protocols.gemini import wire

COST_FIELDS = ("input_cost", "output_cost", "cost")
_BY_REQUEST = ("gemini-1", "gemini-2")


def decode_usage(raw: wire.Raw, *, searches: int = 0) -> Usage | None:
    """None where there is none, or where it holds what is no count (then output is counted)."""
    if not wire.is_set(raw):
        return None
    try:
        return _normalised(wire.decode_usage(raw), raw, searches)
    except (msgspec.ValidationError, ValueError, OverflowError):
        return None


def _normalised(told: wire.UsageMetadata, raw: wire.Raw, searches: int) -> Usage:
    prompt = _count(told.prompt_token_count)
    written = _count(told.candidates_token_count)
    # A part can never exceed its whole: what is left of it is shared out in this order.
    prompt, cached = _take(prompt, _count(told.cached_content_token_count))
    read, from_cache = told.prompt_tokens_details, told.cache_tokens_details
    prompt, audio = _take(prompt, _of(read, "AUDIO") - _of(from_cache, "AUDIO"))
    prompt, image = _take(prompt, _of(read, "IMAGE") - _of(from_cache, "IMAGE"))
    written, output_audio = _take(written, _of(told.candidates_tokens_details, "AUDIO"))
    written, output_image = _take(written, _of(told.candidates_tokens_details, "IMAGE"))
    return Usage(
        input=prompt + _count(told.tool_use_prompt_token_count),
        cache_read=cached,
        input_audio=audio,
        input_image=image,
        output=written,
        reasoning=_count(told.thoughts_token_count),
        output_audio=output_audio,
        output_image=output_image,
        web_searches=searches,
        raw=raw.copy(),
    )


def _count(value: wire.Count) -> int:
    return count(value.get("count") if isinstance(value, dict) else value)


def _of(details: list[wire.ModalityCount] | None, modality: str) -> int:
    return sum(count(told.token_count) for told in details or () if told.modality == modality)


def _take(whole: int, part: int) -> tuple[int, int]:
    part = max(0, min(whole, part))
    return whole - part, part


def searches(grounding: wire.Raw, model: str) -> int:
    """How many web searches this grounding is billed as."""
    if not wire.is_set(grounding):
        return 0
    try:
        queries = wire.decode_grounding(grounding).web_search_queries
    except msgspec.ValidationError:
        return 0
    asked = len({query for query in queries or () if query})
    return min(asked, 1) if model.startswith(_BY_REQUEST) else asked


def encode_usage(usage: Usage, costs: Costs | None) -> wire.Json:
    """`usageMetadata`, with what it cost in US dollars where that is known."""
    told: wire.Json = {
        "promptTokenCount": usage.input_total,
        "candidatesTokenCount": usage.output + usage.output_audio + usage.output_image,
        "totalTokenCount": usage.total,
    }
    if usage.cache_read:
        told["cachedContentTokenCount"] = usage.cache_read
    if usage.reasoning:
        told["thoughtsTokenCount"] = usage.reasoning
    text = usage.input_total - usage.input_audio - usage.input_image
    read = {"TEXT": text, "IMAGE": usage.input_image, "AUDIO": usage.input_audio}
    told["promptTokensDetails"] = _details(read)
    if usage.cache_read:
        told["cacheTokensDetails"] = _details({"TEXT": usage.cache_read})
    if usage.output_audio or usage.output_image:
        written = {
            "TEXT": usage.output,
            "IMAGE": usage.output_image,
            "AUDIO": usage.output_audio,
        }
        told["candidatesTokensDetails"] = _details(written)
    return told if costs is None else told | cost_fields(costs)


def _details(counts: dict[str, int]) -> list[wire.Json]:
    return [
        {"modality": modality, "tokenCount": tokens}
        for modality, tokens in counts.items()
        if tokens
    ]


def cost_fields(costs: Costs) -> dict[str, wire.Raw]:
    """The fields that we add inside `usageMetadata`: JSON numbers of US dollars."""
    literals = (costs.input, costs.output, costs.total)
    return {name: wire.Raw(text.encode()) for name, text in zip(COST_FIELDS, literals, strict=True)}
