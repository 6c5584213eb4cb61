"""Counting tokens in the helper process: long texts, and many at once."""

import asyncio

from gateway import tokens
from gateway.ir.events import TextDelta
from gateway.ir.request import Request
from gateway.meter import PIECES_MAX, Meter


def test_a_text_that_the_library_refuses_as_too_long_is_counted() -> None:
    async def run() -> int:
        try:
            return await tokens.count([" word"] * 300_000)
        finally:
            tokens.close()

    counted = asyncio.run(run())

    assert abs(counted - 300_000) <= 4  # a token a cut


def test_many_counts_at_once_are_each_their_own() -> None:
    async def run() -> list[int]:
        try:
            return await asyncio.gather(*(tokens.count([" word"] * n) for n in range(100)))
        finally:
            tokens.close()

    assert asyncio.run(run()) == list(range(100))


def test_what_was_delivered_is_counted_however_many_pieces_it_came_in() -> None:
    meter = Meter()
    pieces = 2 * PIECES_MAX + 7
    for _ in range(pieces):
        meter.observe((TextDelta(text=" word"),))

    async def run() -> int:
        try:
            usage, _ = await meter.final(Request(model="m", messages=()), whole=False)
            return usage.output
        finally:
            tokens.close()

    assert len(meter.pieces) <= PIECES_MAX
    assert asyncio.run(run()) == pieces
