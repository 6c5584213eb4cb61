"""Secrets of API keys: how they look, how they are made, how they are recognised.

`sk-cc-`, 40 random base62 characters (238 bits), and the CRC32 of all that in 6 base62 characters.
The checksum is no secret: it tells a mistyped or made-up key from a real one before any I/O, and
lets a scanner of public repositories be sure of what it found. What is stored is an HMAC under a
pepper that lives outside the database. Who may call with a key is `accounts.callers`.
"""

import hmac
import re
import secrets
import zlib
from functools import lru_cache

import msgspec

from ccapi.core.ids import ALPHABET, base62

PREFIX = "sk-cc-"
RANDOM_LENGTH = 40
CHECKSUM_LENGTH = 6
LENGTH = len(PREFIX) + RANDOM_LENGTH + CHECKSUM_LENGTH
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}", re.ASCII)


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret and what may be known of it. `text` never shows in a repr."""

    text: str
    prefix: str  # the first 8 random characters, public
    last4: str

    def __repr__(self) -> str:
        return f"Secret({PREFIX}{self.prefix}…{self.last4})"

    __str__ = __repr__


def make() -> Secret:
    """A new secret from the operating system's randomness."""
    return _secret(PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH)))


def parse(text: str) -> Secret | None:
    """The secret in `text`, or None if it cannot be one of ours: no look-up is worth trying."""
    return _secret(text[:-CHECKSUM_LENGTH]) if is_well_formed(text) else None


def is_well_formed(text: str) -> bool:
    return (
        _FORM.fullmatch(text) is not None
        and checksum(text[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:]
    )


def checksum(body: str) -> str:
    """CRC32 in base62: differs for every change of one character, and of any four in a row."""
    return base62(zlib.crc32(body.encode()), width=CHECKSUM_LENGTH)


def mac(text: str, pepper: str) -> bytes:
    """What is stored of a secret: 32 bytes of HMAC-SHA256. It never leaves the database's side."""
    made = _keyed(pepper).copy()  # a third of what a new one takes
    made.update(text.encode())
    return made.digest()


@lru_cache(maxsize=4)
def _keyed(pepper: str) -> hmac.HMAC:
    return hmac.new(pepper.encode(), digestmod="sha256")


def _secret(body: str) -> Secret:
    text = body + checksum(body)
    start = len(PREFIX)
    return Secret(text=text, prefix=text[start : start + 8], last4=text[-4:])
