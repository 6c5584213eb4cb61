"""Usage: the Responses API's counts to and from buckets that do not overlap.

`input_tokens` includes what was read from and written to caches, `output_tokens` includes
reasoning.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

import msgspec

from ccapi.core.usage import Usage, count
from gateway.ir.response import Costs
from gateway.protocols.openai_responses import wire
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
    read, written = count(told.input_tokens), count(told.output_tokens)
    inputs = told.input_tokens_details or wire.InputDetails()
    outputs = told.output_tokens_details or wire.OutputDetails()
    # A part can never exceed its whole: what is left of it is shared out in this order.
    read, cache_read = take(read, count(inputs.cached_tokens))
    read, cache_write = take(read, count(inputs.cache_write_tokens))
    read, input_audio = take(read, count(inputs.audio_tokens))
    read, input_image = take(read, count(inputs.image_tokens))
    written, reasoning = take(written, count(outputs.reasoning_tokens))
    written, output_audio = take(written, count(outputs.audio_tokens))
    written, output_image = take(written, count(outputs.image_tokens))
    return Usage(
        input=read,
        cache_read=cache_read,
        cache_write=cache_write,
        input_audio=input_audio,
        input_image=input_image,
        output=written,
        reasoning=reasoning,
        output_audio=output_audio,
        output_image=output_image,
        raw=wire.Raw(bytes(raw)),
    )


def encode_usage(usage: Usage, costs: Costs) -> wire.Raw:
    """Usage in this protocol's way of counting, with what it cost in US dollars."""
    read = {
        "cached_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
    }
    written = {"reasoning_tokens": usage.reasoning}
    optional = (
        (read, "audio_tokens", usage.input_audio),
        (read, "image_tokens", usage.input_image),
        (written, "audio_tokens", usage.output_audio),
        (written, "image_tokens", usage.output_image),
    )
    for details, name, tokens in optional:
        if tokens:
            details[name] = tokens
    return wire.raw(
        {
            "input_tokens": usage.input_total,
            "input_tokens_details": read,
            "output_tokens": usage.output_total,
            "output_tokens_details": written,
            "total_tokens": usage.total,
            **{name: wire.Raw(value) for name, value in cost_fields(costs).items()},
        }
    )
