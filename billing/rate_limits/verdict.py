"""What a limiter answers, whether Valkey's script or this process gave it."""

from collections.abc import Sequence
from enum import IntEnum

import msgspec


class Limit(IntEnum):
    """Which limit of a subject."""

    RPM = 1
    TPM = 2
    CONCURRENT = 3


class Use(msgspec.Struct, frozen=True):
    """What a subject has used: its meters in thousandths, its slots."""

    requests: int
    tokens: int
    slots: int


class Refusal(msgspec.Struct, frozen=True):
    """The limit that refuses for longest."""

    subject: int  # place among the subjects
    limit: Limit
    wait_s: float


class Verdict(msgspec.Struct, frozen=True):
    refusal: Refusal | None
    uses: tuple[Use, ...]  # one a subject


def read(answer: Sequence[int]) -> Verdict:
    """What `reserve.lua` answered."""
    place, limit, wait_ms, *numbers = answer
    uses = tuple(Use(*numbers[at : at + 3]) for at in range(0, len(numbers), 3))
    if not place:
        return Verdict(None, uses)
    return Verdict(Refusal(place - 1, Limit(limit), wait_ms / 1000), uses)
