"""Why a hold was not placed, as the caller is told it, with the numbers that help. No I/O."""

from typing import NamedTuple

import msgspec
import structlog
from django.conf import settings

from billing.bounds import affordable_output, bound_amount
from billing.types import Admission, Bound
from ccapi.core.errors import (
    AccountSuspended,
    BillingUnavailable,
    InFlightReservations,
    PaymentRequired,
    RequestExceedsBalance,
)
from ccapi.core.money import dollars

log = structlog.get_logger(__name__)

OUTPUT_MIN = 256  # a request that did not say how much is not cut below this many tokens an answer


class Verdict(NamedTuple):
    """What `hold_batch_v1` says of one item."""

    word: str
    posted: int  # the whole balance, with the credit limit
    held: int
    available: int


def is_media(admission: Admission) -> bool:
    """Whether pictures or speech are asked for: their size is the request's, and is not cut."""
    return any(bound.images or bound.characters for bound in admission.bounds)


def affordable(admission: Admission, budget: int) -> int:
    """Output tokens per answer that this much money covers at every candidate."""
    return min(affordable_output(bound, budget) for bound in admission.bounds) // admission.choices


def refusal(word: str, admission: Admission) -> AccountSuspended | BillingUnavailable:
    if word == "suspended":
        return AccountSuspended("This organization's wallet is suspended. Contact support.")
    # settled, conflict, no_wallet: ids are made anew for each request, so this is ours to look at.
    log.error("admission.refused", reason=word, request_id=str(admission.request_id))
    return BillingUnavailable("The request could not be registered. Try again.")


def payment_required(admission: Admission, required: int, verdict: Verdict) -> PaymentRequired:
    """The 402 that fits: wait (open holds), ask for less, or add credit."""
    available = max(0, verdict.available)
    details: dict[str, object] = {
        "required": dollars(required),
        "available": dollars(available),
        "held": dollars(verdict.held),
        **_could_have(admission, available),
    }
    if settings.CCAPI_TOP_UP_URL:
        details["top_up_url"] = settings.CCAPI_TOP_UP_URL
    costs = f"This request may cost up to ${dollars(required)}"
    has = f"${dollars(available)} is available"
    if admission.output_is_stated or is_media(admission):
        would_do = required <= verdict.posted
    else:
        would_do = affordable(admission, verdict.posted) >= OUTPUT_MIN
    if would_do:
        return InFlightReservations(
            f"{costs}; {has} while open requests hold ${dollars(verdict.held)}. Try again soon.",
            details=details,
        )
    if verdict.posted > 0 and any(_could_have(admission, verdict.posted).values()):
        less = "Ask for less" if is_media(admission) else "Lower max_tokens"
        return RequestExceedsBalance(
            f"{costs}, more than the whole balance; {has}. {less} or add credit.", details=details
        )
    return PaymentRequired(
        f"Insufficient credits: {costs[0].lower()}{costs[1:]}; {has}. Add credit.", details=details
    )


def _could_have(admission: Admission, budget: int) -> dict[str, int]:
    """What of this request the money covers, named by what the request is measured in."""
    if not is_media(admission):
        return {"affordable_max_tokens": affordable(admission, budget)}
    return {
        f"affordable_{name}": min(_most(bound, name, budget) for bound in admission.bounds)
        for name in ("images", "characters")
        if any(getattr(bound, name) for bound in admission.bounds)
    }


def _most(bound: Bound, name: str, budget: int) -> int:
    """The largest count, up to the bound's own, that the budget covers; found by halving."""
    low, high = 0, getattr(bound, name)
    while low < high:
        middle = (low + high + 1) // 2
        if bound_amount(msgspec.structs.replace(bound, **{name: middle})) <= budget:
            low = middle
        else:
            high = middle - 1
    return low
