"""The most that a text can cost to be said, and what it costs where nobody tells.

By characters that is exact. By tokens it is a guess upwards: of text no tokenizer makes more tokens
than bytes; of speech the slowest delivery of the wordiest byte counts.
"""

from billing.types import Bound
from catalog.types import Model, PriceVersion
from gateway.ir.request import Request
from gateway.speech.values import spoken_of

# gpt-4o-mini-tts costs 12 dollars a million tokens of audio and "about 0.015 dollars a minute".
# Source: https://platform.openai.com/docs/pricing (read 2026-11-22)
TOKENS_PER_S = 1250 / 60
TOKENS_AROUND = 256
# Speech at its usual pace: 15 characters a second in English.
CHARACTERS_PER_S = 15.0
# A digit is a word ("seven" takes 0.4 s), an emoji of four bytes may be read as four; told to speak
# slowly, a voice takes its time twice over.
SECONDS_PER_BYTE_MAX = 0.8
SECONDS_AROUND = 10.0


def bound(model: Model, price: PriceVersion, request: Request) -> Bound:
    spoken = spoken_of(request)
    said = len(spoken.text.encode())
    output = int((said * SECONDS_PER_BYTE_MAX + SECONDS_AROUND) * TOKENS_PER_S)
    ceiling = model.max_output_tokens
    return Bound(
        price=price,
        input_tokens=said + len(spoken.instructions.encode()) + TOKENS_AROUND,
        output_tokens=min(output, ceiling) if ceiling else output,
        characters=len(spoken.text),
    )


def tokens_of(seconds: float) -> int:
    return int(seconds * TOKENS_PER_S + 0.5)
