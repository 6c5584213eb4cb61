"""The tokenizer itself.

OpenAI's o200k vocabulary. Only `gateway.tokens`' helper process imports this.
"""

from functools import cache

from bpe_openai import Encoding, get_encoding


def count_tokens(text: str) -> int:
    """Tokens of `text`; markers of special tokens in it count as the text that they are."""
    return len(_encoding().encode_ordinary(text))


@cache
def _encoding() -> Encoding:
    """Loaded on first use, in about 0.3 s."""
    return get_encoding("o200k_base")
