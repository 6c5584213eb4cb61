"""The judges: what contradicts a claim is found, wherever the lie is."""

import msgspec
import pytest

from gateway.proofs import catalog, crash, failover, overdraft
from gateway.proofs.crash import Blows
from gateway.proofs.ledger import Settled
from gateway.proofs.records import Account, Seen, Served
from gateway.proofs.verdict import Verdict

SERVED = Served(
    name="r1",
    provider="north",
    model="m1",
    how="whole",
    text="north says hello.",
    input=3,
    output=2,
)
SEEN = Seen(
    name="r1",
    protocol="openai",
    stream=True,
    status=200,
    generation="gen_1",
    provider="north",
    attempts="north/m1=200",
    text=SERVED.text,
    end="complete",
    marked=True,
    ended=10.0,
)
PRICE = 3 * 1_000 + 2 * 2_000
CHARGED = {"gen_1": [Settled(1, "a", [PRICE])]}
EXPIRED = {"gen_1": [Settled(3, "a", [])]}


def changed(seen: Seen = SEEN, **fields: object) -> Seen:
    return msgspec.structs.replace(seen, **fields)


BROKEN = changed(text="north says", end="error", marked=False)


def failover_faults(
    seen: Seen, settled: dict[str, list[Settled]], *attempts: Served, spent: int = PRICE
) -> list[str]:
    account = Account(seen=[seen], served=list(attempts or (SERVED,)))
    return failover.judge(account, settled, spent=spent)


def crash_faults(
    seen: Seen, settled: dict[str, list[Settled]], *, spent: int, blows: Blows | None = None
) -> list[str]:
    account = Account(seen=[seen], served=[SERVED])
    return crash.judge(account, settled, blows or Blows(), spent=spent, held=0)


def test_a_whole_answer_at_its_price_is_no_fault_of_failover() -> None:
    assert failover_faults(SEEN, CHARGED) == []


def test_a_broken_answer_that_says_so_and_is_charged_in_part_is_no_fault() -> None:
    part = {"gen_1": [Settled(5, "a", [4_000])]}

    assert failover_faults(BROKEN, part, spent=4_000) == []


def test_a_refused_request_that_cost_nothing_is_no_fault() -> None:
    refused = changed(status=502, end="refused", text="", provider="", marked=False)

    assert failover_faults(refused, {"gen_1": [Settled(2, "a", [])]}, spent=0) == []


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (changed(text="north says"), "part of the text is missing"),
        (changed(text="north says", end="error"), "part of the text is missing"),
        (changed(text="south says hello."), "nobody said"),
        (changed(provider="south"), "the header says south"),
        (changed(attempts="south/m1=200"), "the header tells the attempts"),
        (changed(end="broken", silent=True), "as if nothing were wrong"),
        (changed(end="refused"), "for no answer"),
        (changed(end="lost"), "nobody answered"),
    ],
)
def test_failover_finds_what_lies_to_the_customer(seen: Seen, fault: str) -> None:
    assert fault in " ".join(failover_faults(seen, CHARGED))


@pytest.mark.parametrize(
    ("settled", "spent", "fault"),
    [
        ({"gen_1": [Settled(1, "a", [PRICE + 1])]}, PRICE + 1, "instead of"),
        ({"gen_1": [Settled(1, "a", [])]}, 0, "instead of"),
        ({}, 0, "settled 0 times"),
        ({"gen_1": [Settled(1, "a", [PRICE]), Settled(1, "b", [])]}, PRICE, "settled 2 times"),
        (CHARGED, PRICE + 5, "the wallet lost"),
    ],
)
def test_failover_finds_what_is_wrong_with_the_bill(
    settled: dict[str, list[Settled]], spent: int, fault: str
) -> None:
    assert fault in " ".join(failover_faults(SEEN, settled, spent=spent))


def test_an_attempt_that_a_provider_saw_and_the_header_hides_is_a_fault() -> None:
    hidden = msgspec.structs.replace(SERVED, provider="south", text="south says hello.")

    assert "the providers saw" in " ".join(failover_faults(SEEN, CHARGED, hidden, SERVED))


def test_a_reset_that_is_tried_again_counts_as_one_attempt() -> None:
    reset = msgspec.structs.replace(SERVED, how="hang_up", text="north says nothing.")

    assert failover_faults(SEEN, CHARGED, reset, SERVED) == []


def test_an_answer_that_is_charged_once_is_no_fault_of_a_crash() -> None:
    assert crash_faults(SEEN, CHARGED, spent=PRICE) == []


def test_a_free_answer_is_a_fault_unless_its_process_was_killed_just_then() -> None:
    killed_later, killed_then = Blows(kills=[20.0]), Blows(kills=[10.01])

    assert crash_faults(SEEN, EXPIRED, spent=0, blows=killed_later)
    assert crash_faults(SEEN, EXPIRED, spent=0, blows=killed_then) == []


def test_an_outage_excuses_no_free_answer_for_longer_than_until_it_is_spooled() -> None:
    outage = (9.0, 11.0)

    assert crash_faults(SEEN, EXPIRED, spent=0, blows=Blows(kills=[10.9], outage=outage)) == []
    assert crash_faults(SEEN, EXPIRED, spent=0, blows=Blows(kills=[11.1], outage=outage))
    assert crash_faults(SEEN, EXPIRED, spent=0, blows=Blows(outage=outage))


def test_a_cut_answer_is_a_fault_unless_a_process_was_killed_meanwhile() -> None:
    cut = changed(BROKEN, end="broken", began=9.0)

    assert "without a cause" in " ".join(crash_faults(cut, EXPIRED, spent=0))
    assert crash_faults(cut, EXPIRED, spent=0, blows=Blows(kills=[9.5])) == []


def test_a_503_is_a_fault_unless_postgresql_was_away() -> None:
    refused = changed(status=503, end="refused", text="", marked=False, began=9.0)

    assert crash_faults(refused, {}, spent=0, blows=Blows(kills=[9.5], outage=(1.0, 2.0)))
    assert crash_faults(refused, {}, spent=0, blows=Blows(outage=(8.0, 9.5))) == []


@pytest.mark.parametrize(
    ("seen", "settled", "spent", "fault"),
    [
        (SEEN, {"gen_1": [Settled(1, "a", [PRICE, PRICE])]}, 2 * PRICE, "was charged 2 times"),
        (SEEN, {"gen_1": [*CHARGED["gen_1"], *EXPIRED["gen_1"]]}, PRICE, "was settled 2 times"),
        (BROKEN, CHARGED, PRICE, "saw no whole answer"),
        (SEEN, {**CHARGED, "gen_2": [Settled(1, "a", [7])]}, PRICE + 7, "the wallet lost"),
    ],
)
def test_a_crash_that_costs_the_customer_is_found(
    seen: Seen, settled: dict[str, list[Settled]], spent: int, fault: str
) -> None:
    assert fault in " ".join(crash_faults(seen, settled, spent=spent))


def storm(served: int, *, reached: int | None = None) -> Account:
    """Of all requests, so many served, and the others told 402."""
    seen = [
        changed(end="complete", via=number % 3)
        if number < served
        else changed(end="refused", status=402, via=number % 3)
        for number in range(overdraft.REQUESTS)
    ]
    return Account(seen=seen, served=[SERVED] * (served if reached is None else reached))


EXACT = [catalog.EXACT_NANO] * overdraft.AFFORDED
SAMPLES = [(100, 100), (0, 0)]


def test_exactly_what_a_wallet_affords_is_no_fault() -> None:
    assert overdraft.judge(storm(37), SAMPLES, EXACT, (0, 0), turn=1) == []


@pytest.mark.parametrize(
    ("account", "samples", "charges", "wallet"),
    [
        (storm(38), SAMPLES, EXACT, (0, 0)),
        (storm(36), SAMPLES, EXACT, (0, 0)),
        (storm(37, reached=38), SAMPLES, EXACT, (0, 0)),
        (storm(37), [(99, 100)], EXACT, (0, 0)),
        (storm(37), [], EXACT, (0, 0)),
        (storm(37), SAMPLES, [*EXACT, 1], (0, 0)),
        (storm(37), SAMPLES, EXACT, (10, 0)),
        (storm(37), SAMPLES, EXACT, (10, 10)),
    ],
)
def test_anything_else_is_an_overdraft_or_a_waste(
    account: Account, samples: list[tuple[int, int]], charges: list[int], wallet: tuple[int, int]
) -> None:
    assert overdraft.judge(account, samples, charges, wallet, turn=1)


def test_a_verdict_says_in_one_plain_sentence_how_it_ended() -> None:
    held = Verdict(
        name="x", claim="c.", done="d.", figures={"n": 1}, faults=[], closing="All is well."
    )
    broken = msgspec.structs.replace(held, faults=["this", "that"])

    assert held.holds
    assert held.text().endswith("HELD: All is well.\n")
    assert not broken.holds
    assert broken.text().endswith("BROKEN: 2 observations contradict the claim.\n")
    assert "All is well" not in broken.text()
    assert broken.json()["closing"] == ""
