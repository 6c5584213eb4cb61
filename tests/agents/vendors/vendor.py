"""What a provider of any vendor is asked and says, and what a vendor's module offers.

Written from the vendors' documentation and not with our codecs, which are what is tried here.
What is said is decided in `tests.agents.plans`.
"""

import json
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

Loose: TypeAlias = Any  # JSON of any vendor

INPUT_TOKENS, OUTPUT_TOKENS = 100, 10


class Call(NamedTuple):
    """`arguments` are JSON; of a custom tool (OpenAI's, of free text) they are that text."""

    id: str
    name: str
    arguments: str
    custom: bool = False
    namespace: str = ""  # OpenAI's


class Said(NamedTuple):
    """An answer. The signature is the thought's; no two answers have the same number."""

    number: int
    model: str
    text: str = ""
    calls: tuple[Call, ...] = ()
    thought: str = ""
    signature: str = ""


class Offered(NamedTuple):
    """A tool that a request offers."""

    name: str
    custom: bool = False
    namespace: str = ""


class Seen(NamedTuple):
    """What a model looks at."""

    tools: list[Offered]
    results: list[str]  # in the order of the calls that they answer
    texts: list[str]  # of everybody, in order
    signatures: list[str]


class Vendor(Protocol):
    name: ClassVar[str]
    base: ClassVar[str]  # of its API, below the host
    path: ClassVar[str]  # what tells its requests from others'
    media_type: ClassVar[str]
    has_signatures: ClassVar[bool]

    def read(self, body: Loose) -> Seen: ...

    def stream(self, said: Said) -> Iterator[bytes]: ...

    def whole(self, said: Said) -> bytes: ...


def answered(called: list[str], results: dict[str, str]) -> list[str]:
    """Results by the ids of their calls, in the order of these. An agent sends the fastest first.

    A result of no call, and a call without a result behind which others have one, are faults.
    """
    assert results.keys() <= set(called), f"results of no call: {results.keys()}, {called}"
    assert len(set(called)) == len(called), f"two calls of one id: {called}"
    assert called[: len(results)] == [each for each in called if each in results]
    return [results[each] for each in called if each in results]


def sse(data: Loose, event: str = "") -> bytes:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


def halves(text: str) -> tuple[str, ...]:
    """A text as it streams, in two pieces."""
    middle = len(text) // 2
    return tuple(piece for piece in (text[:middle], text[middle:]) if piece)


def texts(content: Loose) -> list[str]:
    """Of a content that is a string or a list of parts."""
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or [] if "text" in part]
