"""The stage of a proof: the product as a proof needs it, and the process of the outside beside it.

How a product is started and thrown away is not known here.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

import msgspec

from gateway.proofs import catalog
from gateway.proofs.ledger import Ledger
from gateway.proofs.prepare import Made, Wanted
from gateway.proofs.records import Account, Addresses, Order

LOOK_S = 0.02
WEBS = 3
START_S = 30.0
T = TypeVar("T", bound=msgspec.Struct)


class Product(Protocol):
    """A running product of one's own."""

    urls: list[str]  # of its web processes
    restarts: int  # of the web processes that run, by the supervisor

    @property
    def database_url(self) -> str: ...

    @property
    def spool(self) -> Path:
        """Where settlements wait on disk."""

    @property
    def web_pids(self) -> list[int]: ...

    def start_webs(self, count: int, *, shared: bool = False) -> None:
        """On a socket each or on one; those that run already are kept where they are as wanted."""

    def look(self) -> None:
        """Supervise the web processes; to be called often."""

    def kill_web(self, pid: int) -> None: ...

    def crash_database(self, meanwhile: Callable[[], None]) -> None:
        """Back when it answers again; `meanwhile` is called all the time."""

    def spawn(self, *arguments: str) -> "subprocess.Popen[bytes]": ...

    def python(self, *arguments: str, given: bytes = b"") -> tuple[int, str]: ...


class StageFailed(Exception):
    """What a proof works with could not be made, or has gone."""


class Outside:
    """The customers and providers. `ask` gives an order; `answer` is there when it is done."""

    def __init__(self, product: Product) -> None:
        self._process = product.spawn("-m", "gateway.proofs.outside")
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        self._read = b""
        self.addresses = self._wait(Addresses)

    def __enter__(self) -> "Outside":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, order: Order) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()

    def answer(self) -> Account | None:
        """What happened; None while it still goes on. Raises: StageFailed."""
        return self._line(Account)

    def _wait(self, kind: type[T]) -> T:
        deadline = time.monotonic() + START_S
        while (value := self._line(kind)) is None:
            if time.monotonic() > deadline:
                raise StageFailed("The customers and providers did not start in time.")
            time.sleep(LOOK_S)
        return value

    def _line(self, kind: type[T]) -> T | None:
        try:
            while piece := os.read(self._output, 1 << 20):
                self._read += piece
                if self._read.endswith(b"\n"):
                    line, self._read = self._read, b""
                    return msgspec.json.decode(line, type=kind)
        except BlockingIOError:
            return None
        raise StageFailed(f"The customers and providers ended: {self._process.wait()}.")


class Stage(msgspec.Struct, frozen=True):
    """Everything that a proof works with."""

    product: Product
    outside: Outside
    ledger: Ledger
    customers: list[Made]  # each is used once
    seconds: float  # how long the load lasts
    seed: int

    def customer(self, credit: str) -> Made:
        """One with this credit, which nobody used yet."""
        at = next(at for at, each in enumerate(self.customers) if each.credit == credit)
        return self.customers.pop(at)

    def audit(self) -> str:
        """`manage.py audit`: an empty text, or what is broken."""
        code, told = self.product.python("-m", "django", "audit")
        return "" if code == 0 else f"the audit failed: {told.strip()}"

    def wait_for_no_holds(self, timeout_s: float) -> float:
        """Until every hold is resolved, at most so long; how long it took."""
        return self._wait(lambda: not self.ledger.open_holds(), timeout_s)

    def wait_for_an_empty_spool(self, timeout_s: float) -> list[str]:
        """What still waits on disk after so long. PostgreSQL may have forgotten the holds of it."""
        self._wait(lambda: not self._spooled(), timeout_s)
        return self._spooled()

    def _spooled(self) -> list[str]:
        return [path.name for path in self.product.spool.glob("*.jsonl")]

    def _wait(self, is_over: Callable[[], bool], timeout_s: float) -> float:
        began = time.monotonic()
        while not is_over() and time.monotonic() - began < timeout_s:
            self.product.look()
            time.sleep(LOOK_S)
        return time.monotonic() - began


def prepare(product: Product, wanted: Wanted) -> list[Made]:
    """The product's database, ready. Raises: StageFailed."""
    code, told = product.python("-m", "gateway.proofs.prepare", given=msgspec.json.encode(wanted))
    if code != 0:
        raise StageFailed(f"The database could not be prepared:\n{told}")
    return msgspec.json.decode(told.splitlines()[-1], type=list[Made])


@contextmanager
def staged(
    product: Product, credits_needed: list[str], *, seconds: float, seed: int
) -> Iterator[Stage]:
    """A stage on a product that has its servers and no web process yet. Raises: StageFailed."""
    with Outside(product) as outside, Ledger(product.database_url) as ledger:
        wanted = Wanted(catalog=catalog.document(outside.addresses), credits=credits_needed)
        customers = prepare(product, wanted)
        yield Stage(
            product=product,
            outside=outside,
            ledger=ledger,
            customers=customers,
            seconds=seconds,
            seed=seed,
        )
