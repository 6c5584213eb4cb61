"""What a dialect is: one vendor's protocol, as the server needs it."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, Protocol

from gateway.sandbox.answers import Answer, Ask
from gateway.sandbox.failures import Failure

Stage = Literal[
    "open",  # before any content
    "content",  # a delta of reasoning, text or a call's arguments
    "between",  # a block's or a call's own start and end
    "close",  # finish reason and usage
    "end",  # the marker that says: this is all
]


class Frame(NamedTuple):
    """One event of a stream with its blank line, and what it is for."""

    stage: Stage
    data: bytes


class Dialect(Protocol):
    """Functions between a vendor's bytes and the sandbox's types. Stateless."""

    request_id_header: str
    stream_type: bytes  # the Content-Type of its streams
    garbage: bytes  # an event that is not JSON

    def parse(self, body: bytes, headers: Mapping[str, str]) -> Ask:
        """Raises: Refused with the vendor's own words."""

    def answer(self, ask: Ask, answer: Answer) -> bytes: ...

    def frames(self, ask: Ask, answer: Answer) -> Iterator[Frame]: ...

    def failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:
        """Status and body."""

    def error_frame(self, failure: Failure, request_id: str) -> bytes:
        """An error inside a stream that has begun."""
