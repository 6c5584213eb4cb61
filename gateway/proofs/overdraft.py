"""Proof: no overdraft. Many requests at once on money for a few serve exactly those few."""

import time
from collections import Counter

from gateway.proofs import catalog
from gateway.proofs.prepare import Made
from gateway.proofs.records import Account, Order
from gateway.proofs.stage import LOOK_S, WEBS, Stage
from gateway.proofs.verdict import Verdict

CLAIM = "under any concurrency a wallet never goes below zero, and serves exactly what it affords."
REQUESTS, AFFORDED = 500, 37
CREDIT = f"{AFFORDED * catalog.EXACT_NANO / 1e9:.2f}"
ROUND_S = 5.0  # about what a round takes, its set-up included
SETTLE_S = 20.0
# Long enough that all of them are under way together, whoever is admitted first.
ANSWER_AFTER_S = 1.0


def rounds(seconds: float) -> int:
    """How many rounds there is time for; each needs a customer of its own."""
    return max(1, min(8, int(seconds / ROUND_S)))


def credits_needed(seconds: float) -> list[str]:
    return [CREDIT] * rounds(seconds)


def prove(stage: Stage) -> Verdict:
    """Storm one fresh wallet after another."""
    # On a socket each: one process would accept a burst on a shared one alone.
    stage.product.start_webs(WEBS)
    faults: list[str] = []
    total: Counter[str] = Counter()
    lowest, winners = AFFORDED * catalog.EXACT_NANO, set[str]()
    number = rounds(stage.seconds)
    for turn in range(number):
        customer = stage.customer(CREDIT)
        account, samples = _storm(stage, customer, seed=stage.seed + turn)
        stage.wait_for_no_holds(SETTLE_S)
        settled = stage.ledger.settled(customer.organization)
        charges = [each.charge for entries in settled.values() for each in entries]
        winners |= {each.by for entries in settled.values() for each in entries}
        lowest = min(lowest, *(posted - held for posted, held in samples))
        total["samples"] += len(samples)
        total["served"] += sum(seen.end == "complete" for seen in account.seen)
        total["refused"] += sum(seen.status == 402 for seen in account.seen)
        total["reached"] += len(account.served)
        faults += judge(
            account, samples, charges, stage.ledger.wallet(customer.organization), turn=turn + 1
        )
    if audit := stage.audit():
        faults.append(audit)
    return Verdict(
        name="overdraft",
        claim=CLAIM,
        done=f"{number} times {REQUESTS} requests at once, over both protocols, streamed and "
        f"whole, to {len(stage.product.urls)} web processes, on a fresh wallet with money for "
        f"{AFFORDED}.",
        figures={
            "requests": number * REQUESTS,
            "money for": number * AFFORDED,
            "served": total["served"],
            "reached a provider": total["reached"],
            "refused with 402": total["refused"],
            "web processes that got some": len(winners),
            "lowest balance seen, $": f"{lowest / 1e9:.2f}",
            "times looked": total["samples"],
        },
        faults=faults,
        closing=f"Each wallet served exactly the {AFFORDED} requests it had money for, every other "
        "one was told 402, and no balance was ever below zero.",
    )


def _storm(stage: Stage, customer: Made, *, seed: int) -> tuple[Account, list[tuple[int, int]]]:
    """All requests at once; what happened, and the wallet as often as it could be read."""
    stage.outside.ask(
        Order(
            urls=stage.product.urls,
            key=customer.api_key,
            requests=REQUESTS,
            models=catalog.EXACT,
            max_tokens=catalog.EXACT_TOKENS,
            words=(20, 20),  # more than they may write: all write as much as they may
            wait_s=ANSWER_AFTER_S,
            pace_s=0.02,
            seed=seed,
        )
    )
    samples: list[tuple[int, int]] = []
    while (account := stage.outside.answer()) is None:
        samples.append(stage.ledger.wallet(customer.organization))
        stage.product.look()
        time.sleep(LOOK_S / 4)
    return account, samples


def judge(
    account: Account,
    samples: list[tuple[int, int]],
    charges: list[int],
    wallet: tuple[int, int],
    *,
    turn: int,
) -> list[str]:
    """What of one round contradicts the claim."""
    ends = Counter(seen.end for seen in account.seen)
    statuses = Counter(seen.status for seen in account.seen)
    checks = {
        f"{ends['complete']} were served, not {AFFORDED}": ends["complete"] != AFFORDED,
        f"{len(account.served)} reached a provider, not {AFFORDED}": len(account.served)
        != AFFORDED,
        f"the others were not all refused with 402: {dict(statuses)}": statuses[402]
        != len(account.seen) - AFFORDED,
        "only one web process was asked": len({seen.via for seen in account.seen}) < 2,
        "a balance was seen below zero": any(posted < held for posted, held in samples),
        "nobody looked at the wallet": not samples,
        f"the charges are not {AFFORDED} of a cent each: {sorted(charges)}": sorted(charges)
        != [catalog.EXACT_NANO] * AFFORDED,
        f"the wallet holds {wallet} at the end, not nothing": wallet != (0, 0),
    }
    return [f"round {turn}: {fault}" for fault, is_so in checks.items() if is_so]
