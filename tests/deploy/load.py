"""Customers who ask all the time, and what each of their requests came to."""

import asyncio
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec

from tests.deploy.shape import HOST, Account

ASKED = [{"role": "user", "content": "one two three four"}]
BODY: dict[str, Any] = {"model": "sandbox/priced", "messages": ASKED, "max_tokens": 50}


class Asked(msgspec.Struct, frozen=True):
    """One request: its status (0: no answer), whether it was complete, and when it ended."""

    status: int
    complete: bool
    ended_at: float
    took_s: float
    told: str = ""


class Load:
    """Runs in a thread within `with`; every second request is a stream."""

    def __init__(
        self,
        urls: list[str],
        account: Account,
        *,
        customers: int = 6,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self.asked: list[Asked] = []
        self._urls, self._account, self._customers = urls, account, customers
        self._verify = verify
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> "Load":
        self._thread.start()
        self.more(self._customers)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def more(self, count: int, *, timeout_s: float = 30.0) -> None:
        """Until so many more have been served."""
        wanted, deadline = self.served + count, time.monotonic() + timeout_s
        while self.served < wanted:
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.02)

    @property
    def served(self) -> int:
        return sum(each.status == 200 and each.complete for each in self.asked)

    def since(self, began: float) -> list[Asked]:
        return [each for each in self.asked if each.ended_at >= began]

    def told(self) -> Counter[tuple[int, str]]:
        return Counter((each.status, each.told) for each in self.asked)

    async def _all(self) -> None:
        await asyncio.gather(*(self._customer(number) for number in range(self._customers)))

    async def _customer(self, number: int) -> None:
        # As an SDK would: over TLS or not, with this header.
        headers = {"authorization": f"Bearer {self._account.api_key}", "host": HOST}
        async with httpx2.AsyncClient(headers=headers, verify=self._verify, timeout=30) as client:
            while not self._stop.is_set():
                url = self._urls[number % len(self._urls)] + "/v1/chat/completions"
                number += 1
                await self._ask(client, url, stream=number // len(self._urls) % 2 == 0)
                await asyncio.sleep(0.02)

    async def _ask(self, client: httpx2.AsyncClient, url: str, *, stream: bool) -> None:
        began = time.monotonic()
        status, complete, told = 0, False, ""
        try:
            answer = await client.post(url, json={**BODY, "stream": stream})
            status = answer.status_code
            complete = not stream or answer.text.rstrip().endswith("data: [DONE]")
            if status != 200:
                told = answer.text[:300]
        except httpx2.TransportError as error:
            told = type(error).__name__
        now = time.monotonic()
        self.asked.append(Asked(status, complete, now, now - began, told))


class Outage(msgspec.Struct, frozen=True):
    """What customers saw of a fault, from the moment in which it was made."""

    statuses: dict[int, int]
    incomplete: int
    failing_s: float  # from the first that failed to the last
    slowest_s: float

    def __str__(self) -> str:
        return (
            f"{self.statuses}, {self.incomplete} incomplete, failing for {self.failing_s:.2f} s, "
            f"slowest {self.slowest_s:.2f} s"
        )


def outage(load: Load, fault: Callable[[], object], *, after: int = 60) -> Outage:
    """Make a fault under load, wait until it is served again, and say what was seen."""
    began = time.monotonic()
    fault()
    load.more(after)
    seen = load.since(began)
    failed = [each.ended_at for each in seen if each.status != 200 or not each.complete]
    return Outage(
        statuses=dict(Counter(each.status for each in seen)),
        incomplete=sum(each.status == 200 and not each.complete for each in seen),
        failing_s=max(failed) - min(failed) if failed else 0.0,
        slowest_s=max(each.took_s for each in seen),
    )
