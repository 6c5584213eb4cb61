"""What a service is: one vendor's API that answers a request as a whole, as the server needs it.

Chat is not one: there a dialect says what `answers` has composed. Services are plain functions of
what is asked; time passes and connections break in the server, which carries their steps out.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from gateway.sandbox.delivery import Step
from gateway.sandbox.failures import Failure

JSON = b"application/json"


class Asked(NamedTuple):
    """A request; `headers` has lower-case names."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """An answer: after `pause_s` seconds of silence its head, then its steps.

    `length` is the Content-Length that is promised; None: it comes in pieces.
    """

    steps: Iterator[Step]
    length: int | None = None
    media_type: bytes = JSON
    status: int = 200
    pause_s: float = 0.0


class Words(Protocol):
    """How a vendor says that it does not."""

    request_id_header: str

    def failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:
        """Status and body."""


class Service(Words, Protocol):
    """Stateless, but for what it says otherwise."""

    def knows(self, method: str, path: str) -> bool:
        """Whether this is a request to it."""

    def answer(self, asked: Asked) -> Reply:
        """May take some milliseconds: for a thread. Raises: Refused."""


def whole(body: bytes, *, media_type: bytes = JSON, status: int = 200) -> Reply:
    """An answer that nothing happens to."""
    return Reply(iter((body,)), len(body), media_type, status)
