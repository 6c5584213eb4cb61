"""Usage: OpenAI's counts to and from buckets that do not overlap.

`prompt_tokens` includes what was read from and written to caches, and audio; `completion_tokens`
includes reasoning and audio. Some vendors (xAI, and converters of Gemini) leave reasoning out of
`completion_tokens` and count it in `total_tokens` alone, which is how they are told apart.

Source: https://platform.openai.com/docs/api-reference/chat/object, and for xAI
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/grok/capabilities/reasoning
"""

import msgspec

from ccapi.core.usage import Usage, count
from gateway.ir.response import Costs
from gateway.protocols.openai_chat import wire
from gateway.protocols.shared.openai_fields import cost_fields, take


def decode_usage(raw: wire.Raw) -> Usage | None:
    """None where there is none, or where it holds what is no count (then output is counted)."""
    if not wire.is_set(raw):
        return None
    try:
        return _normalised(wire.decode_usage(raw), raw)
    except (msgspec.ValidationError, ValueError):
        return None


def _normalised(told: wire.Usage, raw: wire.Raw) -> Usage:
    prompt, completion = count(told.prompt_tokens), count(told.completion_tokens)
    if told == wire.Usage(told.prompt_tokens, told.completion_tokens, prompt + completion):
        # Nothing is told but two counts and their sum.
        return Usage(input=prompt, output=completion, raw=wire.Raw(bytes(raw)))
    read = told.prompt_tokens_details or wire.PromptDetails()
    written = told.completion_tokens_details or wire.CompletionDetails()
    cached = max(
        count(read.cached_tokens),
        count(told.prompt_cache_hit_tokens),
        count(told.cached_tokens),
        count(told.num_cached_tokens),
    )
    reasoning = count(written.reasoning_tokens) or count(told.reasoning_tokens)
    beyond = max(0, count(told.total_tokens) - prompt - completion)
    if beyond and reasoning in (0, beyond):
        # Reasoning stands outside `completion_tokens`, and the total is what the vendor bills.
        reasoning = beyond
        completion += beyond
    # A part can never exceed its whole: what is left of it is shared out in this order.
    prompt, cache_read = take(prompt, cached)
    prompt, cache_write = take(prompt, count(read.cache_write_tokens))
    prompt, input_audio = take(prompt, count(read.audio_tokens))
    prompt, input_image = take(prompt, count(read.image_tokens))
    completion, reasoning = take(completion, reasoning)
    completion, output_audio = take(completion, count(written.audio_tokens))
    completion, output_image = take(completion, count(written.image_tokens))
    tools = told.server_tool_use_details
    return Usage(
        input=prompt,
        cache_read=cache_read,
        cache_write=cache_write,
        input_audio=input_audio,
        input_image=input_image,
        output=completion,
        reasoning=reasoning,
        output_audio=output_audio,
        output_image=output_image,
        web_searches=count(tools.web_search_requests) if tools else 0,
        raw=wire.Raw(bytes(raw)),
    )


def encode_usage(usage: Usage, costs: Costs) -> bytes:
    """Usage in OpenAI's way of counting, with what it cost in US dollars."""
    cached: dict[str, int] = {"cached_tokens": usage.cache_read, "audio_tokens": usage.input_audio}
    if usage.cache_write or usage.cache_write_1h:
        cached["cache_write_tokens"] = usage.cache_write + usage.cache_write_1h
    if usage.input_image:
        cached["image_tokens"] = usage.input_image
    written = {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.output_audio}
    if usage.output_image:
        written["image_tokens"] = usage.output_image
    return wire.encode(
        {
            "prompt_tokens": usage.input_total,
            "completion_tokens": usage.output_total,
            "total_tokens": usage.total,
            "prompt_tokens_details": cached,
            "completion_tokens_details": written,
            **{name: wire.Raw(value) for name, value in cost_fields(costs).items()},
        }
    )
