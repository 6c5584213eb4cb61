"""Tokens as the sandbox counts them: by a rule that can be followed by hand.

A token is a word with the white space before it; a word longer than 16 characters counts one for
each started 16; white space at the end counts one. So no text has more tokens than bytes, an
answer's deltas are its tokens, and `"Hello there,  world"` is three of them in every protocol.
"""

import re

# At most 16, so that a text without spaces still streams in several deltas.
_TOKEN = re.compile(r"\s*\S{1,16}|\s+")


def split(text: str) -> tuple[str, ...]:
    """The tokens of a text; joined, they are the text again."""
    return tuple(_TOKEN.findall(text))


def count(text: str) -> int:
    return sum(1 for _ in _TOKEN.finditer(text))
