"""The board: which offers may be called now, and what came of those that were.

It joins what the plan knows (offers, keys) with what the breakers know (scopes), and keeps the
budget of repeats. One an event loop, made on first use. For the healthy a question is one look into
an empty dictionary, and so is an answer.
"""

import hashlib
import random
from collections.abc import Callable
from typing import NamedTuple, Protocol

import structlog
from django.conf import settings

from catalog.types import Offer, Provider, Status
from ccapi.core import clock
from ccapi.core.alerts import Kind, raise_alert
from ccapi.core.loops import PerLoop
from gateway.routing import blame
from gateway.routing.blame import Cause, Part
from gateway.routing.breakers import Breakers, Out, Place, State
from gateway.routing.budget import RetryBudget
from gateway.routing.sharing import Alone, Shares, Sharing
from gateway.transport import auth
from gateway.transport.failures import AttemptFailed

log = structlog.get_logger(__name__)


class Standing(NamedTuple):
    """Whether an offer may be called now, and with which key.

    `probes`: the scopes that are half open, so that this call would be their probe. Where it may
    not be called: until when, and why.
    """

    is_usable: bool
    key: str
    probes: tuple[str, ...] = ()
    until: float = 0.0
    cause: Cause = "server"
    is_rest: bool = False

    @property
    def may_be_forced(self) -> bool:
        """Whether it is worth a call in spite of all, where there is nothing better.

        Not where a provider said to wait, or does not take our key: that call would not help.
        """
        return not self.is_rest and self.cause not in ("auth", "credit")


class Way(Protocol):
    """A call as the board sees it."""

    @property
    def offer(self) -> Offer: ...

    @property
    def key(self) -> str: ...

    probes: tuple[str, ...]
    is_forced: bool


class OfferState(NamedTuple):
    """One scope that is out of service, for pages and metrics. `model` "": all of them."""

    scope: str
    provider: str
    model: str
    state: State
    cause: Cause
    seconds_left: float
    keys: int


class Board:
    """What this event loop knows of all offers."""

    def __init__(
        self,
        *,
        failures: int,
        retry_ratio: float,
        shares: Shares | None = None,
        jitter: random.Random | None = None,
        alert: Callable[[Provider, Cause], None] | None = None,
    ) -> None:
        self.is_on = failures > 0
        self.breakers = Breakers(failures=failures, jitter=jitter)
        self.budget = RetryBudget(retry_ratio)
        self.shares: Shares = shares or Alone()
        self._alert = alert or tell_operator

    def standing(self, offer: Offer, now: float) -> Standing:
        """May this offer be called now? Takes the provider's keys in turn."""
        provider = offer.provider
        if not self.breakers.out:
            return Standing(True, auth.next_key(provider))
        common = (_scope("provider", offer), _scope("offer", offer))
        worst: Standing | None = None
        for _ in range(max(1, len(provider.api_keys))):
            key = auth.next_key(provider)
            standing = self._standing((*common, *_of_key(offer, key)), key, now)
            if standing.is_usable:
                return standing
            if worst is None or standing.until < worst.until:
                worst = standing
        assert worst is not None  # noqa: S101 — the loop ran at least once
        return worst

    def is_usable(self, offer: Offer, now: float) -> bool:
        """The same question, without taking a turn of the keys."""
        if not self.breakers.out:
            return True
        common = (_scope("provider", offer), _scope("offer", offer))
        return any(
            self._standing((*common, *_of_key(offer, key)), key, now).is_usable
            for key in offer.provider.api_keys or ("",)
        )

    async def claim(self, way: Way) -> bool:
        """Whether this call may be the probe of what is half open; else somebody else's is."""
        wanted, way.probes = way.probes, ()
        for scope in wanted:
            out = self.breakers.out.get(scope)
            if out is None:
                continue  # closed meanwhile
            # Before anything is waited for, so that nobody else of this process asks.
            self.breakers.claim(scope, clock.monotonic())
            if not await self.shares.claim(out):
                self.released(way)
                return False
            way.probes += (scope,)
        return True

    def succeeded(self, way: Way) -> None:
        """It answers. On the hot path."""
        if self.breakers.out or self.breakers.counts:
            for part in blame.ALL:
                self._works(way, part)

    def failed(self, way: Way, failure: AttemptFailed, now: float) -> None:
        """It failed, before its first content or after."""
        if way.offer.provider.is_sandbox and failure.connected:
            # One customer's tests must not change what another one's meet, nor wake an operator.
            self.released(way)
            return
        said = blame.blame(failure)
        if said.part == "key" and said.at_once:
            self._alert(way.offer.provider, said.cause)
        if self.is_on:
            for part in said.works:
                self._works(way, part)
            self.released(way, but=self._blame(way, said, now) if said.part is not None else "")

    def may_repeat(self, provider: Provider) -> bool:
        """Whether the provider's budget has one more repeat, which is then taken from it."""
        return provider.is_sandbox or self.budget.spend(provider.id)

    def released(self, way: Way, *, but: str = "") -> None:
        """The probe came to nothing, but for one scope that is decided."""
        for scope in way.probes:
            out = self.breakers.out.get(scope)
            if scope != but and out is not None and out.probed_until:
                self.breakers.release(scope)
                self.shares.released(scope)

    def _standing(self, scopes: tuple[str, ...], key: str, now: float) -> Standing:
        probes: tuple[str, ...] = ()
        longest: Out | None = None
        until = 0.0
        for scope in scopes:
            state = self.breakers.state(scope, now)
            if state == "half_open":
                probes += (scope,)
            elif state != "closed":
                out = self.breakers.out[scope]
                due = out.until if state == "open" else out.probed_until
                if due > until:
                    longest, until = out, due
        if longest is None:
            return Standing(True, key, probes)
        return Standing(False, key, (), until, longest.cause, longest.is_rest)

    def _works(self, way: Way, part: Part) -> None:
        scope = _scope(part, way.offer, way.key)
        closed = self.breakers.succeeded(scope, is_probe=way.is_forced or scope in way.probes)
        if closed is not None:
            self.shares.closed(scope)
            _tell("breaker.closed", closed)

    def _blame(self, way: Way, said: blame.Blame, now: float) -> str:
        """Take the part that is to blame out of service, if it is time; its scope."""
        assert said.part is not None  # noqa: S101 — the caller looked
        place = _place(said.part, way.offer, way.key)
        is_probe = place.scope in way.probes
        if said.rest_s:
            out = self.breakers.rest(place, said.cause, now, said.rest_s, is_probe=is_probe)
        else:
            out = self.breakers.failed(
                place, said.cause, now, is_probe=is_probe, at_once=said.at_once
            )
        if out is not None:
            self.shares.opened(out)
            _tell("breaker.opened", out)
            if said.part == "key" and not said.at_once:
                self._alert(way.offer.provider, said.cause)
        return place.scope


def _scope(part: Part, offer: Offer, key: str = "") -> str:
    """The name of a part of the way, the same in every process."""
    match part:
        case "provider":
            return f"provider:{offer.provider.id}"
        case "offer":
            return f"offer:{offer.id}"
        case "key":
            return f"key:{offer.provider.id}:{_fingerprint(key)}"
        case "offer_key":
            return f"offer_key:{offer.id}:{_fingerprint(key)}"


def _of_key(offer: Offer, key: str) -> tuple[str, str]:
    return _scope("key", offer, key), _scope("offer_key", offer, key)


def _fingerprint(key: str) -> str:
    """Tells the keys of a provider apart, and gives none away."""
    return hashlib.blake2b(key.encode(), digest_size=6, person=b"ccapi breaker").hexdigest()


def _place(part: Part, offer: Offer, key: str) -> Place:
    return Place(
        scope=_scope(part, offer, key),
        provider=offer.provider.name,
        model=offer.model if part in ("offer", "offer_key") else "",
        keys=max(1, len(offer.provider.api_keys)),
    )


def tell_operator(provider: Provider, cause: Cause) -> None:
    """Our account or our key is the trouble: only people can mend that."""
    if cause == "credit":
        text = f"{provider.name} says that our account there has no money. Top it up."
        raise_alert(Kind.OUT_OF_MONEY, provider.name, text)
    else:
        text = f"{provider.name} refuses our key. Set another one in the admin."
        raise_alert(Kind.KEY_REFUSED, provider.name, text)


def _tell(event: str, out: Out) -> None:
    log.warning(
        event,
        scope=out.place.scope,
        provider=out.place.provider,
        model=out.place.model,
        cause=out.cause,
        streak=out.streak,
        seconds=round(out.until - out.opened_at, 1),
    )


def _make() -> Board:
    board = Board(failures=settings.CCAPI_BREAKER_FAILURES, retry_ratio=settings.CCAPI_RETRY_RATIO)
    if board.is_on:
        board.shares = Sharing(board.breakers)
    return board


_boards = PerLoop(_make)
current = _boards.get


def close() -> None:
    """Stop listening to the other processes (at shutdown)."""
    board = _boards.pop()
    if board is not None and isinstance(board.shares, Sharing):
        board.shares.stop()


def states() -> list[OfferState]:
    """All that is out of service just now, as this process knows it. From any thread."""
    now = clock.monotonic()
    found: list[OfferState] = []
    for board in _boards.values():
        for scope, out in tuple(board.breakers.out.items()):
            state = out.state(now)
            if state != "closed":
                left = max(0.0, out.until - now)
                place = out.place
                found.append(
                    OfferState(
                        scope, place.provider, place.model, state, out.cause, left, place.keys
                    )
                )
    return found


def status_of(provider: str) -> Status:
    """A provider as a whole: down where its connection or every key of ours is out."""
    mine = [each for each in states() if each.provider == provider]
    if not mine:
        return "operational"
    keys = [each for each in mine if each.scope.startswith("key:")]
    is_down = any(each.scope.startswith("provider:") for each in mine)
    return "down" if is_down or (keys and len(keys) >= keys[0].keys) else "degraded"
