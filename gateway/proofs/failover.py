"""Proof: failover that cannot lie. Every second provider fails, in every way there is.

A provider's answer names the provider and the request, so the text itself says who gave it and
whether all of it arrived, and the header and the bill can be held against it.
"""

import time
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from gateway.proofs import catalog
from gateway.proofs.ledger import Settled
from gateway.proofs.records import INPUT_NANO, OUTPUT_NANO, Account, Order, Seen, Served
from gateway.proofs.stage import LOOK_S, WEBS, Stage
from gateway.proofs.verdict import Verdict

CLAIM = (
    "no truncated stream looks complete, failed attempts are free, every answer says who gave it."
)
CREDIT = "2000.00"
CUSTOMERS = 40
CHOICES = 3  # models that a request names
SETTLE_S = 20.0
# Half of all attempts do well; the others share every way to fail.
FAILURES = {
    **dict.fromkeys(("error_500", "rate_limited", "overloaded", "hang_up", "silent"), 1.0),
    **dict.fromkeys(("stall", "garble", "error_inside", "empty"), 1.0),
    "cut": 3.0,
    "early_end": 2.0,
}
HOW = {"whole": sum(FAILURES.values()), **FAILURES}


def credits_needed(_seconds: float) -> list[str]:
    return [CREDIT]


def prove(stage: Stage, how: dict[str, float] | None = None) -> Verdict:
    """Load on failing providers, and what came of it. `how` overrides how they answer."""
    stage.product.start_webs(WEBS)
    customer = stage.customer(CREDIT)
    before, _ = stage.ledger.wallet(customer.organization)
    stage.outside.ask(
        Order(
            urls=stage.product.urls,
            key=customer.api_key,
            seconds=stage.seconds,
            customers=CUSTOMERS,
            models=catalog.FAILING,
            choices=CHOICES,
            how=how or HOW,
            pace_s=0.004,
            seed=stage.seed,
        )
    )
    while (account := stage.outside.answer()) is None:
        stage.product.look()
        time.sleep(LOOK_S)
    stage.wait_for_no_holds(SETTLE_S)
    settled = stage.ledger.settled(customer.organization)
    after, held = stage.ledger.wallet(customer.organization)
    faults = judge(account, settled, spent=before - after)
    if held:
        faults.append(f"{held} nano-dollars are still held")
    if audit := stage.audit():
        faults.append(audit)
    return Verdict(
        name="failover",
        claim=CLAIM,
        done=f"{stage.seconds:.0f} s of {CUSTOMERS} customers over both protocols, each request "
        f"naming {CHOICES} models of {len(catalog.ROUGH) + 1} providers, which fail half the time.",
        figures=_figures(account, settled),
        faults=faults,
        closing="Whatever the providers did, an answer that looked complete was complete, it cost "
        "what the one who gave it delivered, and nothing else cost anything.",
    )


def _figures(account: Account, settled: dict[str, list[Settled]]) -> dict[str, int | float | str]:
    ends = Counter(seen.end for seen in account.seen)
    hows = Counter(served.how for served in account.served)
    complete = [seen for seen in account.seen if seen.end == "complete"]
    attempts = _attempts(account)
    return {
        "requests": len(account.seen),
        "attempts that reached a provider": len(account.served),
        "attempts that failed": len(account.served) - hows["whole"],
        **{f"  {how}": hows[how] for how in FAILURES},
        "answered completely": len(complete),
        "  of these after a failed attempt": sum(";" in seen.attempts for seen in complete),
        "broken after content, and said so": ends["error"] + ends["broken"],
        "refused with an error": ends["refused"],
        "truncated and looked complete": sum(
            not _is_whole(seen, attempts.get(seen.name, [])) for seen in complete
        ),
        "charged": sum(each.charge > 0 for entries in settled.values() for each in entries),
    }


def judge(account: Account, settled: dict[str, list[Settled]], *, spent: int) -> list[str]:
    """What contradicts the claim; `spent` is what the wallet lost, by its own balance."""
    attempts = _attempts(account)
    faults: list[str] = []
    due = 0
    for seen in account.seen:
        entries = settled.get(seen.generation, [])
        charge = sum(each.charge for each in entries)
        due += charge
        found = _of_answer(seen, attempts.get(seen.name, []), charge)
        if len(entries) != 1:
            found.append(f"it was settled {len(entries)} times")
        faults += [f"{seen.name} ({seen.protocol}, {seen.end}): {fault}" for fault in found]
    if spent != due:
        faults.append(f"the wallet lost {spent}, and the answers cost {due} nano-dollars")
    return faults


def _attempts(account: Account) -> dict[str, list[Served]]:
    by_name: dict[str, list[Served]] = {}
    for served in account.served:
        by_name.setdefault(served.name, []).append(served)
    return by_name


def _of_answer(seen: Seen, attempts: list[Served], charge: int) -> list[str]:
    if seen.silent:
        return ["its stream ended as if nothing were wrong, with neither marker nor error"]
    if seen.end in ("refused", "lost"):
        faults = [f"it was charged {charge} for no answer"] if charge else []
        return faults + ([] if seen.end == "refused" else ["nobody answered it"])
    faults = _of_header(seen, attempts)
    server = next((each for each in reversed(attempts) if each.text.startswith(seen.text)), None)
    if server is None:
        return [*faults, f"nobody said {seen.text!r}"]
    if seen.provider != server.provider:
        faults.append(f"{server.provider} answered, and the header says {seen.provider}")
    if seen.marked and seen.text != server.text:
        faults.append("it looked complete, and part of the text is missing")
    if seen.end == "complete" and charge != server.price:
        faults.append(f"it was charged {charge} instead of {server.price}")
    if seen.end != "complete":
        # Its input and what was delivered; a token is at least a byte.
        most = max(server.input, 1000) * INPUT_NANO + len(server.text) * OUTPUT_NANO
        if not 0 < charge <= most:
            faults.append(f"it broke after content and was charged {charge} of at most {most}")
    return faults


def _of_header(seen: Seen, attempts: list[Served]) -> list[str]:
    """The attempts as told are those that providers saw, in that order, and the last one served.

    More may be told than seen (a refused connection reaches nobody), never less.
    """
    told = _runs(each.partition("=")[0] for each in seen.attempts.split(";"))
    met = _runs(f"{each.provider}/{each.model}" for each in attempts)
    rest = iter(told)
    if all(each in rest for each in met):
        return []
    return [f"the header tells the attempts {told}, and the providers saw {met}"]


def _runs(names: Iterable[str]) -> list[str]:
    """Without repetitions: a reset before any byte is tried again within one attempt."""
    return [name for name, _ in groupby(names)]


def _is_whole(seen: Seen, attempts: list[Served]) -> bool:
    return any(seen.text == each.text for each in attempts)
