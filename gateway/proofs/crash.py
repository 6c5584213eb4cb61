"""Proof: charged exactly once. Web processes are killed and PostgreSQL crashes while customers ask.

A process that is killed between an answer's last byte and the moment its settlement is on a disk
takes the bill with it: the answer is free, at our cost. That moment is the commit, milliseconds
later; where PostgreSQL keeps a batch waiting, it is the spool, and at most one batch comes before.
Such answers are counted, and anything else that was answered and not charged contradicts the claim.
"""

import math
import random
import time
from collections import Counter

import msgspec

from gateway.proofs import catalog
from gateway.proofs.ledger import EXPIRED, WHOLE, Settled
from gateway.proofs.records import Account, Order, Seen
from gateway.proofs.stage import LOOK_S, WEBS, Stage
from gateway.proofs.verdict import Verdict

CLAIM = "crash or not, every request is resolved once: charged if it was answered, free if not."
CREDIT = "1000.00"
CUSTOMERS = 60
SWEEP_S = 30.0  # by then the sweeper has voided what the killed processes held
# What waits behind a batch for this long is written to disk (`billing.ledger.SLOW_S`, repeated here
# because this is a promise); the batch before it may have taken just as long.
SPOOLED_S = 0.5
AT_RISK_S = 2 * SPOOLED_S
NOTICE_S = 0.5  # until a customer notices that a kept connection went with its process
AWAY = frozenset({503, 529})  # in the OpenAI protocol, and in Anthropic's
RECOVERY_S = 5.0  # until the web processes are connected to PostgreSQL again


class Blows(msgspec.Struct):
    """What was done to the product, and when (monotonic seconds)."""

    kills: list[float] = []
    outage: tuple[float, float] = (0.0, 0.0)  # of PostgreSQL

    @property
    def crashed(self) -> bool:
        return self.outage != (0.0, 0.0)

    def at_risk(self, ended: float) -> bool:
        """Whether a kill may have taken the bill of an answer that ended then."""
        return any(ended - NOTICE_S < kill < ended + AT_RISK_S for kill in self.kills)

    @property
    def kills_in_outage(self) -> int:
        away, back = self.outage
        return sum(away < kill < back for kill in self.kills)

    def excuse(self, seen: Seen) -> bool:
        """Whether a kill explains that there is no whole answer, or the outage a refusal."""
        if seen.status in AWAY:
            began, ended = self.outage
            return seen.began < ended + RECOVERY_S and seen.ended > began
        return any(seen.began - NOTICE_S < kill < seen.ended for kill in self.kills)


def credits_needed(_seconds: float) -> list[str]:
    return [CREDIT]


def prove(stage: Stage) -> Verdict:
    """Load, blows, and the books."""
    # On one socket, as `serve` has it: the others go on for one that was killed.
    stage.product.start_webs(WEBS, shared=True)
    customer = stage.customer(CREDIT)
    before = stage.ledger.wallet(customer.organization)
    stage.outside.ask(
        Order(
            urls=stage.product.urls,
            key=customer.api_key,
            seconds=stage.seconds,
            customers=CUSTOMERS,
            models=catalog.STEADY,
            pace_s=0.02,
            wait_s=0.05,
            seed=stage.seed,
        )
    )
    account, blows = _strike(stage)
    swept_s = stage.wait_for_no_holds(SWEEP_S)
    spooled = stage.wait_for_an_empty_spool(SWEEP_S)
    settled = stage.ledger.settled(customer.organization)
    after = stage.ledger.wallet(customer.organization)
    faults = judge(account, settled, blows, spent=before[0] - after[0], held=after[1])
    if not blows.kills:
        faults.append("no process was killed, so nothing was shown")
    if spooled:
        faults.append(f"settlements still wait on disk: {spooled}")
    if audit := stage.audit():
        faults.append(audit)
    outcomes = Counter(each.outcome for entries in settled.values() for each in entries)
    charged = [each for entries in settled.values() for each in entries if each.charge]
    answered = [seen for seen in account.seen if seen.end == "complete"]
    ends = Counter(seen.end for seen in account.seen)
    away = sum(seen.status in AWAY for seen in account.seen)
    return Verdict(
        name="crash",
        claim=CLAIM,
        done=f"{stage.seconds:.0f} s of {CUSTOMERS} customers over both protocols; "
        f"{len(blows.kills)} times kill -9 of a web process at a random moment, and one crash of "
        "PostgreSQL.",
        figures={
            "requests": len(account.seen),
            "web processes killed": len(blows.kills),
            "  of these while PostgreSQL was away": blows.kills_in_outage,
            "started again by the supervisor": stage.product.restarts,
            "PostgreSQL away, s": round(blows.outage[1] - blows.outage[0], 2),
            "answered completely": len(answered),
            "cut off by a kill": ends["broken"] + ends["error"],
            "told 503 or 529, PostgreSQL away": away,
            "refused otherwise": ends["refused"] - away,
            "killed before the answer began": ends["lost"],
            "charged": len(charged),
            "given back by the sweeper": outcomes[EXPIRED],
            "answered and free (the bill died with its process)": sum(
                not _charge(settled, seen) for seen in answered
            ),
            "charged twice": sum(len(each.charges) > 1 for each in charged),
            "charged and not answered": _charged_unanswered(account, settled),
            "unresolved": stage.ledger.open_holds(),
            "last hold gone after, s": round(swept_s, 1),
        },
        faults=faults,
        closing="Every request was resolved once; nobody was charged twice, nor for an answer that "
        "did not arrive, and all that was held was given back.",
    )


def _strike(stage: Stage) -> tuple[Account, Blows]:
    """Kill and crash until the customers are done."""
    draw = random.Random(stage.seed)  # noqa: S311 - seeded, for repeatable proofs
    blows = Blows()
    began = time.monotonic()
    pause_s = max(0.5, stage.seconds / 25), max(1.0, stage.seconds / 8)  # between two kills
    next_kill = began + draw.uniform(*pause_s)
    crash_at = began + stage.seconds * draw.uniform(0.35, 0.6)
    # The last moments are without blows, so that every customer gets an answer.
    until = began + stage.seconds * 0.9

    def kill_if_due() -> None:
        nonlocal next_kill
        now, pids = time.monotonic(), stage.product.web_pids
        if pids and next_kill < now < until:
            blows.kills.append(now)  # before: its customers notice at once
            stage.product.kill_web(draw.choice(pids))
            next_kill = now + draw.uniform(*pause_s)
        stage.product.look()

    while (account := stage.outside.answer()) is None:
        kill_if_due()
        # After the first kill, for a crash may take all of a short proof's time.
        if not blows.crashed and blows.kills and time.monotonic() > crash_at:
            blows.outage = (time.monotonic(), math.inf)
            stage.product.crash_database(kill_if_due)
            stage.ledger.close()
            blows.outage = (blows.outage[0], time.monotonic())
        time.sleep(LOOK_S)
    return account, blows


def judge(
    account: Account,
    settled: dict[str, list[Settled]],
    blows: Blows,
    *,
    spent: int,
    held: int,
) -> list[str]:
    """What contradicts the claim; `spent` is what the wallet lost, by its own balance."""
    prices = {served.name: served.price for served in account.served}
    faults: list[str] = []
    due = 0
    for generation, entries in settled.items():
        if len(entries) > 1:
            faults.append(f"{generation} was settled {len(entries)} times")
        if sum(len(each.charges) for each in entries) > 1:
            faults.append(f"{generation} was charged {len(entries[0].charges)} times")
    for seen in account.seen:
        charge = _charge(settled, seen)
        due += charge
        if seen.end == "complete":
            faults += _of_answer(seen, charge, prices.get(seen.name, -1), blows)
        elif charge:
            faults.append(f"{seen.name} was charged {charge} and saw no whole answer ({seen.end})")
        elif not blows.excuse(seen):
            faults.append(f"{seen.name} ended without a cause: {seen.end}, status {seen.status}")
    if spent != due:
        faults.append(f"the wallet lost {spent}, and the answers cost {due} nano-dollars")
    if held:
        faults.append(f"{held} nano-dollars are still held")
    return faults


def _of_answer(seen: Seen, charge: int, price: int, blows: Blows) -> list[str]:
    if charge == price or (charge == 0 and blows.at_risk(seen.ended)):
        return []
    return [f"{seen.name} was answered and charged {charge} instead of {price} nano-dollars"]


def _charge(settled: dict[str, list[Settled]], seen: Seen) -> int:
    return sum(each.charge for each in settled.get(seen.generation, []))


def _charged_unanswered(account: Account, settled: dict[str, list[Settled]]) -> int:
    """Requests that paid for a whole answer and did not get one, known to a customer or not."""
    answered = {seen.generation for seen in account.seen if seen.end == "complete"}
    return sum(
        any(each.charge or each.outcome in WHOLE for each in entries)
        for generation, entries in settled.items()
        if generation not in answered
    )
