"""Offers, candidates and failures for tests of routing, and a board that nobody shares."""

from types import MappingProxyType

from billing.types import Bound
from catalog.types import Model, Offer, PriceVersion, Provider, Rate
from gateway.ir.failure import FailureKind
from gateway.protocols.base import UpstreamFailure
from gateway.protocols.registry import CODECS
from gateway.routing.blame import Cause
from gateway.routing.board import Board
from gateway.routing.plan import Candidate
from gateway.transport.failures import AttemptFailed, broken, failed, unconnected

PRICE = PriceVersion(
    id=7, model="a/one", rates=MappingProxyType({"input": Rate(1_000_000), "output": Rate(1)})
)


def provider(number: int = 1, *, keys: tuple[str, ...] = ("a key",)) -> Provider:
    return Provider(
        id=number,
        name=f"p{number}",
        display_name="P",
        protocol="openai",
        base_url="http://127.0.0.1:1/v1",
        api_keys=keys,
    )


def offer(number: int = 1, of: Provider | None = None, **fields: int) -> Offer:
    return Offer(
        id=number,
        model=f"a/{number}",
        provider=of or provider(number),
        upstream_model="one",
        **fields,
    )


def candidate(number: int = 1, of: Provider | None = None, *, window: int = 8000) -> Candidate:
    offered = offer(number, of)
    model = Model(
        id=offered.model,
        provider=offered.provider.name,
        type="chat",
        display_name="One",
        created=0,
        context_length=window,
        max_output_tokens=1000,
        capabilities=frozenset(),
        input_modalities=("text",),
        output_modalities=("text",),
        priority=0,
        price=PRICE,
        offers=(offered,),
    )
    bound = Bound(price=PRICE, input_tokens=1, output_tokens=1)
    return Candidate(model=model, offer=offered, codec=CODECS["openai"], price=PRICE, bound=bound)


def answered(kind: FailureKind, status: int, *, retry_after: float | None = None) -> AttemptFailed:
    """The provider answered with an error."""
    return AttemptFailed(
        UpstreamFailure(kind=kind, status=status, message="It went wrong.", retry_after=retry_after)
    )


def reset() -> AttemptFailed:
    failure = broken()
    failure.answered = False
    return failure


def refused() -> AttemptFailed:
    return unconnected(broken("it refused the connection"))


def stalled() -> AttemptFailed:
    return failed("timeout", "The provider did not answer in time.")


class Told:
    """Who the operator was told about."""

    def __init__(self) -> None:
        self.alerts: list[tuple[str, Cause]] = []

    def __call__(self, provider: Provider, cause: Cause) -> None:
        self.alerts.append((provider.name, cause))


def board(*, failures: int = 5, retry_ratio: float = 0.1, told: Told | None = None) -> Board:
    return Board(failures=failures, retry_ratio=retry_ratio, alert=told or Told())
