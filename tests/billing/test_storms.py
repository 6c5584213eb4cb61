"""Many at once, over processes and connections: no overdraft, no double resolution, no deadlock."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from ccapi.core import postgres
from ccapi.core.ids import uuid7
from tests.billing import storm
from tests.billing.money import Bank, broken, open_bank, rows

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 3


def launch(bank: Bank, holds: int, tokens: int, settle: str) -> list[int]:
    """What each of the processes was admitted."""
    numbers = (bank.organization, bank.caller.key_id, bank.price.id, holds, tokens)
    command = [sys.executable, "-m", "tests.billing.storm", postgres.conninfo()]
    processes = [
        subprocess.Popen(
            [*command, *map(str, numbers), settle],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(PROCESSES)
    ]
    try:
        return [int(process.communicate(timeout=60)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_processes_together_are_admitted_exactly_what_the_wallet_covers(bank: Bank) -> None:
    bank.credit(37 * 2000)

    admitted = launch(bank, 500, 1, "keep")

    assert sum(admitted) == 37
    assert bank.balance().available == 0
    assert broken() == {}


def test_money_that_is_settled_away_is_never_spent_twice(bank: Bank) -> None:
    bank.credit(101 * 2000)

    admitted = launch(bank, 500, 1, "settle")

    assert sum(admitted) == 101
    assert (bank.balance().posted, bank.balance().held) == (0, 0)
    assert rows("SELECT count(*), sum(captured_nano) FROM settlement") == [(101, 101 * 2000)]
    assert broken() == {}


def place(bank: Bank, count: int) -> list[UUID]:
    ids = [uuid7() for _ in range(count)]
    one = (bank.organization, bank.caller.key_id, bank.price.id, 2000)
    items = json.dumps([storm.item(request_id, *one) for request_id in ids])
    rows("SELECT * FROM hold_batch_v1(%s, 60, 'test')", items)
    return ids


def lines(bank: Bank, ids: list[UUID]) -> str:
    one = (bank.organization, bank.caller.key_id, bank.price.id, 1)
    return json.dumps([storm.line(request_id, *one) for request_id in ids])


def together(*statements: tuple[str, tuple[str, ...]]) -> list[list[tuple[object, ...]]]:
    """Each statement on a connection of its own, all let go at once. Raises what any raised."""
    barrier = threading.Barrier(len(statements))
    answers: list[list[tuple[object, ...]]] = [[] for _ in statements]
    errors: list[BaseException] = []

    def run(number: int, sql: str, params: tuple[str, ...]) -> None:
        try:
            with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
                barrier.wait(timeout=10)
                answers[number] = connection.execute(sql.encode(), params).fetchall()
        except BaseException as error:  # noqa: BLE001 — told to the test below
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(number, *statement))
        for number, statement in enumerate(statements)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return answers


SETTLE = "SELECT request_id, verdict FROM settle_batch_v2(%s, 'test')"
SWEEP = "SELECT request_id, amount_nano FROM sweep_holds_v1(500, 0, 'test')"


def test_of_two_that_settle_the_same_requests_each_is_applied_once(bank: Bank) -> None:
    bank.credit(1_000_000)
    for _ in range(10):
        ids = place(bank, 20)

        first, second = together((SETTLE, (lines(bank, ids),)), (SETTLE, (lines(bank, ids[::-1]),)))

        assert sorted(str(row[0]) for row in first + second) == sorted(map(str, ids))
        assert {row[1] for row in first + second} == {"settled"}
    assert broken() == {}


def test_of_settler_and_sweeper_one_wins_and_the_money_is_right(bank: Bank) -> None:
    bank.credit(1_000_000)
    settled = late = 0
    for _ in range(20):
        ids = place(bank, 10)
        rows("UPDATE hold SET expires_at = clock_timestamp() - interval '1 second'")

        answers, swept = together((SETTLE, (lines(bank, ids),)), (SWEEP, ()))

        # Whoever comes second finds nothing, or posts the late usage; each was charged once.
        assert len(answers) == 10
        settled += sum(row[1] == "settled" for row in answers)
        late += sum(row[1] == "late" for row in answers)
        assert len(swept) == sum(row[1] == "late" for row in answers)
    assert settled + late == 200
    assert (bank.balance().posted, bank.balance().held) == (1_000_000 - 200 * 2000, 0)
    assert broken() == {}


def test_batches_that_name_the_same_wallets_in_other_orders_do_not_deadlock(bank: Bank) -> None:
    banks = [bank, *(open_bank(f"Org{n}") for n in range(4))]
    for each in banks:
        each.credit(10_000_000)

    def items(order: list[Bank]) -> str:
        return json.dumps(
            [
                storm.item(uuid7(), b.organization, b.caller.key_id, b.price.id, 2000)
                for _ in range(10)
                for b in order
            ]
        )

    for _ in range(5):
        hold = "SELECT i, verdict FROM hold_batch_v1(%s, 60, 'test')"
        answers = together(*[(hold, (items(banks[n:] + banks[:n]),)) for n in range(5)])
        assert all(row[1] == "held" for answer in answers for row in answer)
    assert broken() == {}


@pytest.mark.parametrize("amount", [2000, 4000])
def test_one_id_held_by_two_at_once_is_held_once(bank: Bank, amount: int) -> None:
    bank.credit(1_000_000)
    request_id = uuid7()
    one = (bank.organization, bank.caller.key_id, bank.price.id)
    hold = "SELECT verdict FROM hold_batch_v1(%s, 60, 'test')"

    answers = together(
        (hold, (json.dumps([storm.item(request_id, *one, 2000)]),)),
        (hold, (json.dumps([storm.item(request_id, *one, amount)]),)),
    )

    words = sorted(str(row[0]) for answer in answers for row in answer)
    assert words == sorted(["held", "duplicate" if amount == 2000 else "conflict"])
    assert broken() == {}
