import asyncio
import time

from ccapi.core import metrics
from gateway import gauges
from gateway.routing import board as boards
from gateway.routing.breakers import Place


def test_an_open_breaker_is_a_gauge_until_it_is_closed_and_no_key_is_told() -> None:
    place = Place("key:7:0123456789ab", "acme")
    labels = ("acme", "", "key")

    async def watch() -> list[float]:
        found = []
        breakers = boards.current().breakers
        breakers.failed(place, "auth", time.monotonic(), at_once=True)
        gauges.sample_breakers()
        found.append(metrics.BREAKERS.value(labels))
        breakers.succeeded(place.scope, is_probe=True)
        gauges.sample_breakers()
        found.append(metrics.BREAKERS.value(labels))
        boards.close()
        return found

    assert asyncio.run(watch()) == [2, 0]


def test_nothing_under_way_is_nothing() -> None:
    async def look() -> None:
        gauges.sample_walks()

    asyncio.run(look())

    assert metrics.HELD.value() == metrics.OLDEST_OPEN.value() == 0
    assert metrics.REQUESTS_OPEN.value(("stream",)) == 0
