"""Identifiers: UUIDv7 for requests, short public ids for everything a customer sees.

A request has one UUIDv7, made before any I/O. Its hexadecimal form stands in `x-request-id`
(`req_…`), in the generation id (`gen_…`) and, where it is a job's, in the job's id (`job_…`); the
database keys on the UUID itself.
"""

import os
import secrets
import time
from uuid import UUID

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def uuid7() -> UUID:
    """A time-ordered UUID (RFC 9562 version 7): 48 bits of milliseconds, 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def public_id(prefix: str) -> str:
    """`prefix_` and 20 random base62 characters (119 bits), for ids that customers see."""
    return prefix + "_" + "".join(secrets.choice(ALPHABET) for _ in range(20))


def base62(number: int, *, width: int) -> str:
    """`number` in base62, padded with zeros on the left to `width`."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def request_id(request: UUID) -> str:
    return "req_" + request.hex


def generation_id(request: UUID) -> str:
    return "gen_" + request.hex


def job_id(request: UUID) -> str:
    return "job_" + request.hex


def parse_generation_id(text: str) -> UUID | None:
    """The UUID behind `gen_…` or `req_…`; None for anything else."""
    return _parse(text, ("gen_", "req_"))


def parse_job_id(text: str) -> UUID | None:
    """The UUID behind `job_…`; None for anything else."""
    return _parse(text, ("job_",))


def _parse(text: str, prefixes: tuple[str, ...]) -> UUID | None:
    if text[:4] not in prefixes or len(text) != 36:
        return None
    try:
        return UUID(hex=text[4:])
    except ValueError:
        return None
