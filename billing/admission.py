"""Admission: whether a request may happen. The one door through which every request gets its hold.

A hold is placed before the upstream is called, in one batched round trip (`hold_batch_v1`), at the
dearest candidate and the dearest rates. No money, no call: 402; PostgreSQL away: 503. What the hold
becomes is `billing.ledger`'s affair.
"""

from typing import NamedTuple
from uuid import UUID

import msgspec
from django.conf import settings

from billing import ledger, sweeper
from billing.bounds import bound_amount
from billing.refusals import OUTPUT_MIN, Verdict, affordable, is_media, payment_required, refusal
from billing.types import Admission, Bound, Hold, Outcome, Settlement, UsageSource
from catalog.types import PriceVersion
from ccapi.core import postgres
from ccapi.core.errors import BillingUnavailable
from ccapi.core.loops import PerLoop
from ccapi.core.usage import Usage

HOLD = "SELECT i, verdict, posted, held, available FROM hold_batch_v1(%s, %s, %s)"
HOLD_S = 2.0  # how long a batch may take
LACKING = ("in_flight", "insufficient")  # verdicts that speak of money
SHRINKS = 3  # other requests may take what was free between looking and taking


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One item of `hold_batch_v1`."""

    request_id: UUID
    organization_id: int
    key_id: int
    amount_nano: int
    price_version_id: int
    model: str
    endpoint: str


class Wanted(NamedTuple):
    """A hold that is asked for, with what is needed to void it when nobody waits for it."""

    request: Request
    price: PriceVersion


async def admit(admission: Admission) -> Hold:
    """Place a hold for the request, or say why not.

    Raises: PaymentRequired, RequestExceedsBalance, InFlightReservations (402), AccountSuspended,
    ModelNotPriced, BillingUnavailable.
    """
    book, organization = ledger.current(), admission.caller.organization_id
    if book.is_full():
        raise BillingUnavailable("Too many settlements wait for the database. Try again soon.")
    bounds = admission.bounds
    applied: int | None = None
    has_waited = False
    for _ in range(SHRINKS):
        amount, price = dearest(bounds)
        verdict = await _place(admission, amount, price)
        if verdict.word in LACKING and not has_waited and book.is_open(organization):
            # One before it has been answered, and its hold stands for a moment more.
            has_waited = True
            await book.settle_now(organization)
            verdict = await _place(admission, amount, price)
        if verdict.word in ("held", "duplicate"):
            return _hold(admission, amount, price, applied)
        if verdict.word not in LACKING:
            raise refusal(verdict.word, admission)
        if admission.output_is_stated or is_media(admission):
            break
        covered = affordable(admission, verdict.available)
        if covered < OUTPUT_MIN:
            break
        applied = covered
        bounds = _shrunk(admission, applied)
    raise payment_required(admission, dearest(admission.bounds)[0], verdict)


def dearest(bounds: tuple[Bound, ...]) -> tuple[int, PriceVersion]:
    """The most that any candidate can cost, and that one's price. Raises: ModelNotPriced."""
    amount, price = -1, bounds[0].price
    for bound in bounds:
        most = bound_amount(bound)
        if most > amount:
            amount, price = most, bound.price
    return amount, price


async def _place(admission: Admission, amount: int, price: PriceVersion) -> Verdict:
    return await _desks.get().run(Wanted(request_for(admission, amount, price), price))


def request_for(admission: Admission, amount: int, price: PriceVersion) -> Request:
    caller = admission.caller
    return Request(
        request_id=admission.request_id,
        organization_id=caller.organization_id,
        key_id=caller.key_id,
        amount_nano=amount,
        price_version_id=price.id,
        model=price.model,
        endpoint=admission.endpoint,
    )


def _hold(admission: Admission, amount: int, price: PriceVersion, applied: int | None) -> Hold:
    ledger.current().open.add(admission.request_id)
    return hold_for(admission, amount, price, applied)


def hold_for(
    admission: Admission, amount: int, price: PriceVersion, applied: int | None = None
) -> Hold:
    return Hold(
        request_id=admission.request_id,
        organization_id=admission.caller.organization_id,
        key_id=admission.caller.key_id,
        amount=amount,
        price_version=price.id,
        max_tokens_applied=applied,
    )


def _shrunk(admission: Admission, applied: int) -> tuple[Bound, ...]:
    most = applied * admission.choices
    return tuple(
        msgspec.structs.replace(bound, output_tokens=min(bound.output_tokens, most))
        for bound in admission.bounds
    )


async def _place_batch(batch: list[Wanted]) -> list[Verdict]:
    book = ledger.current()
    await book.identify()
    items = msgspec.json.encode([wanted.request for wanted in batch]).decode()
    rows = await postgres.pool("holds").run(
        HOLD, (items, settings.CCAPI_HOLD_TTL_S, book.owner), timeout_s=HOLD_S
    )
    verdicts: dict[int, Verdict] = {row[0]: Verdict(*row[1:]) for row in rows}
    return [verdicts[i] for i in range(len(batch))]


def _void(wanted: Wanted, verdict: Verdict) -> None:
    """The caller left while its hold was being placed: give the money back."""
    if verdict.word not in ("held", "duplicate"):
        return
    request = wanted.request
    hold = Hold(
        request_id=request.request_id,
        organization_id=request.organization_id,
        key_id=request.key_id,
        amount=request.amount_nano,
        price_version=request.price_version_id,
    )
    ledger.settle(
        Settlement(
            hold=hold,
            outcome=Outcome.VOIDED,
            usage=Usage(requests=0),
            usage_source=UsageSource.NONE,
            price=wanted.price,
            requested_model=request.model,
            model=request.model,
            provider="",
            protocol="",
            endpoint=request.endpoint,
            stream=False,
            status="client_cancelled",
            http_status=499,
        )
    )


def _open_desk() -> postgres.Batcher[Wanted, Verdict]:
    """The batcher of the running event loop; its background work begins with it."""
    sweeper.start_background()
    return postgres.Batcher(_place_batch, abandoned=_void)


_desks = PerLoop(_open_desk)
