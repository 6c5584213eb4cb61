"""Usage: what a call consumed, normalised once into buckets that do not overlap.

Vendors count differently (OpenAI's prompt tokens include the cached ones, Anthropic's exclude them,
Gemini's thoughts come on top of its candidates): decoders subtract or add so that every token
stands in exactly one bucket here, and pricing multiplies each bucket by its own price.
"""

import msgspec

# Tokens read and tokens written, bucket by bucket.
INPUT_SIDE = ("input", "cache_read", "cache_write", "cache_write_1h", "input_audio", "input_image")
OUTPUT_SIDE = ("output", "reasoning", "output_audio", "output_image")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Counts; tokens unless the name says otherwise. Buckets are disjoint.

    `raw` is the provider's own usage object, as JSON, for the receipt (never priced).
    """

    input: int = 0  # text (and unsplit) tokens read, neither cached nor written to a cache
    cache_read: int = 0
    cache_write: int = 0  # five-minute and unspecified cache writes
    cache_write_1h: int = 0
    input_audio: int = 0
    input_image: int = 0
    output: int = 0  # tokens written, without those in the three buckets below
    reasoning: int = 0
    output_audio: int = 0
    output_image: int = 0
    requests: int = 1
    web_searches: int = 0
    images: int = 0  # pictures delivered
    characters: int = 0  # of text that was spoken, Unicode code points as they were sent
    raw: msgspec.Raw = msgspec.Raw()

    @property
    def input_total(self) -> int:
        return (
            self.input
            + self.cache_read
            + self.cache_write
            + self.cache_write_1h
            + self.input_audio
            + self.input_image
        )

    @property
    def output_total(self) -> int:
        return self.output + self.reasoning + self.output_audio + self.output_image

    @property
    def total(self) -> int:
        return self.input_total + self.output_total


TOKENS_MAX = 1_000_000_000  # a count beyond this is a fault of whoever reported it


def count(value: object) -> int:
    """A vendor's count as an int: absent and null are 0, `1.0` is 1.

    Raises: ValueError for what is no count (negative, fractional, absurd, text).
    """
    if value is None:
        return 0
    match value:
        case bool():
            pass
        case int() | float() if 0 <= value <= TOKENS_MAX and value == int(value):
            return int(value)
    raise ValueError(f"not a count: {value!r}")
