"""What is known of a request: as its customer saw it, and as each provider that was asked did.

Plain values that cross between the process of the outside and the one that judges.
"""

from typing import Literal

import msgspec

Protocol = Literal["openai", "anthropic"]
# complete: with its protocol's success marker. error: a stream that ended with an error event.
# broken: cut off without either. refused: another status than 200. lost: no answer at all.
End = Literal["complete", "error", "broken", "refused", "lost"]

# Nano-dollars a token, and as the catalog has them: dollars a million.
INPUT_NANO, OUTPUT_NANO = 1_000, 2_000
PRICES = {"input": "1.00", "output": "2.00"}


class Seen(msgspec.Struct, kw_only=True):
    """One request as its customer saw it. Times are monotonic, in seconds: one clock for all."""

    name: str
    protocol: Protocol
    stream: bool
    via: int = 0  # which web process was asked
    status: int = 0
    generation: str = ""
    provider: str = ""
    attempts: str = ""
    code: str = ""  # of an error
    text: str = ""
    end: End = "lost"
    marked: bool = False  # some success marker was seen, whatever came after it
    silent: bool = False  # ended as a complete body does, with neither success marker nor error
    began: float = 0.0
    ended: float = 0.0


class Served(msgspec.Struct, kw_only=True):
    """One attempt as its provider saw it."""

    name: str  # of the customer's request
    provider: str
    model: str
    how: str  # what it did, see `outside.provider`
    text: str  # what the whole answer says
    input: int
    output: int

    @property
    def price(self) -> int:
        """What the whole answer costs, in nano-dollars."""
        return self.input * INPUT_NANO + self.output * OUTPUT_NANO


class Order(msgspec.Struct, kw_only=True):
    """What customers shall do, and how providers shall answer. `how` are weights."""

    urls: list[str]  # of the web processes
    key: str
    requests: int = 0  # so many at once; 0: a closed loop of `customers` for `seconds`
    seconds: float = 0.0
    customers: int = 0
    models: list[str] = []  # catalog ids
    choices: int = 1  # how many of the models a request names, in its order of failover
    max_tokens: int = 1000
    how: dict[str, float] = msgspec.field(default_factory=lambda: {"whole": 1.0})
    words: tuple[int, int] = (5, 40)  # fewest and most in an answer
    pace_s: float = 0.0  # between the events of a stream, on average
    wait_s: float = 0.0  # before the first byte
    seed: int = 0


class Account(msgspec.Struct, kw_only=True):
    """What happened, by both sides."""

    seen: list[Seen]
    served: list[Served]


class Addresses(msgspec.Struct, kw_only=True):
    """Where the providers are: one that listens, one that refuses every connection."""

    open: str
    closed: str
