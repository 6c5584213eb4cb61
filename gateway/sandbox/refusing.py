"""The scenarios that answer with an error status, whatever is asked and in whichever protocol."""

from gateway.sandbox.failures import Failure, Kind, Refused
from gateway.sandbox.scenarios import Chosen

_REFUSING: dict[str, Kind] = {
    "server-error": "server",
    "invalid-request": "invalid",
    "overloaded": "overloaded",
    "invalid-key": "invalid_key",
    "no-credit": "no_credit",
    "not-found": "not_found",
}


def refuse_if_chosen(chosen: Chosen, model: str) -> None:
    """Raises: Refused where the scenario is one of these."""
    if chosen.name in _REFUSING:
        status = chosen.whole(0)
        if not 400 <= status <= 599:
            status = 0
        raise Refused(Failure(kind=_REFUSING[chosen.name], status=status, facts={"model": model}))
    if chosen.name == "rate-limited":
        seconds = max(chosen.whole(1), 0)
        facts: dict[str, str | int] = {"model": model, "seconds": seconds}
        raise Refused(Failure(kind="rate_limited", retry_after=seconds, facts=facts))
