"""Usage: Anthropic's counts → our disjoint buckets, and back with the costs.

`input_tokens` excludes what was read from or written to a cache; `output_tokens` includes the
thoughts. Iterations that are not the answer itself (compaction, an advisor) are not in the
top-level counts, but billed: they are added here, at this model's price. Source:
https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance,
https://platform.claude.com/docs/en/build-with-claude/compaction#understanding-usage
"""

from msgspec import Raw

from ccapi.core.usage import Usage, count
from gateway.ir.response import Costs
from gateway.protocols.anthropic import wire

COST_FIELDS = ("input_cost", "output_cost", "cost")


def merge(earlier: Raw, later: Raw) -> Raw:
    """Usage objects of one stream: counts are cumulative, so the later ones replace the earlier.

    A field that the later object lacks, or has as null, keeps its value of `message_start`.
    """
    if wire.absent(earlier):
        return later
    if wire.absent(later):
        return earlier
    fields = wire.decode_object(earlier)
    fields.update(
        (name, value)
        for name, value in wire.decode_object(later).items()
        if name not in fields or not wire.absent(value)
    )
    return Raw(wire.encode(fields))


def decode_usage(raw: Raw) -> Usage | None:
    """None where it holds what is no count (then the answer is counted)."""
    try:
        return _normalised(wire.decode_usage(raw), raw)
    except (ValueError, OverflowError):  # msgspec's errors are ValueErrors too
        return None


def _normalised(told: wire.WireUsage, raw: Raw) -> Usage:
    cache_write, cache_write_1h = _written(told)
    total = count(told.output_tokens)
    details, tools = told.output_tokens_details, told.server_tool_use
    reasoning = min(count(details.thinking_tokens) if details else 0, total)
    buckets = {
        "input": count(told.input_tokens),
        "cache_read": count(told.cache_read_input_tokens),
        "cache_write": cache_write,
        "cache_write_1h": cache_write_1h,
        "output": total - reasoning,
    }
    for iteration in told.iterations or ():
        if iteration.type not in ("message", ""):
            _add(buckets, iteration)
    return Usage(
        **buckets,
        reasoning=reasoning,
        web_searches=count(tools.web_search_requests) if tools else 0,
        raw=raw,
    )


def _add(buckets: dict[str, int], iteration: wire.Iteration) -> None:
    cache_write, cache_write_1h = _written(iteration)
    buckets["input"] += count(iteration.input_tokens)
    buckets["cache_read"] += count(iteration.cache_read_input_tokens)
    buckets["cache_write"] += cache_write
    buckets["cache_write_1h"] += cache_write_1h
    buckets["output"] += count(iteration.output_tokens)


def _written(told: wire.WireUsage | wire.Iteration) -> tuple[int, int]:
    """Tokens written to the five-minute cache and to the one-hour cache.

    The total may come from a later frame than the split, so the total decides, and the rest is 5
    minutes.
    """
    split = told.cache_creation
    five_minutes = count(split.ephemeral_5m_input_tokens) if split else 0
    one_hour = count(split.ephemeral_1h_input_tokens) if split else 0
    if told.cache_creation_input_tokens is None:
        return five_minutes, one_hour
    total = count(told.cache_creation_input_tokens)
    one_hour = min(one_hour, total)
    return total - one_hour, one_hour


def encode_usage(usage: Usage, costs: Costs | None) -> wire.Json:
    """Usage in Anthropic's convention, with the costs where they are known."""
    told: wire.Json = {
        "input_tokens": usage.input + usage.input_audio + usage.input_image,
        "cache_creation_input_tokens": usage.cache_write + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output_total,
    }
    if usage.reasoning:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.web_searches:
        told["server_tool_use"] = {
            "web_search_requests": usage.web_searches,
            "web_fetch_requests": 0,
        }
    return told if costs is None else told | cost_fields(costs)


def cost_fields(costs: Costs) -> dict[str, Raw]:
    """The fields that we add inside `usage`: JSON numbers of US dollars."""
    literals = (costs.input, costs.output, costs.total)
    return {name: Raw(text.encode()) for name, text in zip(COST_FIELDS, literals, strict=True)}
