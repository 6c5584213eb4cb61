"""Random lives of wallets on a real PostgreSQL: a model predicts balances, the audit every row.

Two organizations; holds, captures of less, as much and more, voids, expiries, late usage, forgotten
holds, grants, and any earlier command again.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ccapi.core.ids import uuid7
from tests.billing import storm
from tests.billing.money import broken, open_bank, rows
from tests.databases import OwnDatabase

TOKEN = 2000  # nano-dollars
HOLD = "SELECT verdict, posted, held, available FROM hold_batch_v1(%s, 60, 'machine')"
SETTLE = "SELECT verdict, captured_nano, overage_nano FROM settle_batch_v2(%s, 'machine')"


@dataclass
class Model:
    """What a wallet must be."""

    posted: int = 0
    holds: dict[UUID, int] = field(default_factory=dict)
    settled: dict[UUID, str] = field(default_factory=dict)  # settled | expired | late

    @property
    def available(self) -> int:
        return self.posted - sum(self.holds.values())


class Money(RuleBasedStateMachine):
    requests = Bundle("requests")

    @initialize()
    def begin(self) -> None:
        name = f"Org{uuid7().hex}"
        self.banks = [open_bank(name), open_bank(name + "b")]
        self.models = [Model(), Model()]
        self.again: list[Callable[[], Any]] = []

    def _json(self, item: dict[str, Any]) -> str:
        return json.dumps([item])

    @rule(which=st.integers(0, 1), tokens=st.integers(1, 50))
    def credit(self, which: int, tokens: int) -> None:
        self.banks[which].credit(tokens * TOKEN)
        self.models[which].posted += tokens * TOKEN

    @rule(target=requests, which=st.integers(0, 1), tokens=st.integers(0, 20))
    def hold(self, which: int, tokens: int) -> tuple[int, UUID, int]:
        bank, model, request_id = self.banks[which], self.models[which], uuid7()
        amount = tokens * TOKEN
        one = (bank.organization, bank.caller.key_id, bank.price.id, amount)
        item = self._json(storm.item(request_id, *one))

        (found,) = rows(HOLD, item)

        if amount <= model.available:
            assert found[0] == "held"
            model.holds[request_id] = amount
        else:
            assert found[0] == ("in_flight" if amount <= model.posted else "insufficient")
        assert found[3] == model.available
        self.again.append(lambda: rows(HOLD, item) if request_id in model.holds else None)
        return which, request_id, tokens

    @rule(request=requests, tokens=st.integers(0, 40))
    def settle(self, request: tuple[int, UUID, int], tokens: int) -> None:
        which, request_id, _ = request
        bank, model, charge = self.banks[which], self.models[which], tokens * TOKEN
        one = (bank.organization, bank.caller.key_id, bank.price.id, tokens)
        line = self._json(storm.line(request_id, *one))
        free = max(0, model.available)

        found = rows(SETTLE, line)

        state = model.settled.get(request_id)
        if request_id in model.holds:
            captured = min(charge, model.holds.pop(request_id))
            assert found == [("settled", captured, charge - captured)]
            model.settled[request_id] = "settled"
        elif state is None:  # it never held, or its hold is forgotten
            captured = min(charge, free)
            assert found == [("without_hold", captured, charge - captured)]
            model.settled[request_id] = "settled"
        elif state == "expired" and min(charge, free):
            captured = min(charge, free)
            assert found == [("late", captured, charge - captured)]
            model.settled[request_id] = "late"
        else:
            captured = 0
            assert found == []
        model.posted -= captured
        if request_id in model.settled and model.settled[request_id] != "expired":
            self.again.append(lambda: self._nothing(rows(SETTLE, line)))

    def _nothing(self, found: list[Any]) -> None:
        assert found == []

    @rule(request=requests)
    def void(self, request: tuple[int, UUID, int]) -> None:
        which, request_id, _ = request
        bank, model = self.banks[which], self.models[which]
        if request_id not in model.holds:
            return
        one = (bank.organization, bank.caller.key_id, bank.price.id, 0)
        line = {**storm.line(request_id, *one), "outcome": 2, "status": "upstream_error"}

        assert rows(SETTLE, self._json(line)) == [("settled", 0, 0)]

        del model.holds[request_id]
        model.settled[request_id] = "settled"

    @rule(request=requests)
    def expire(self, request: tuple[int, UUID, int]) -> None:
        which, request_id, _ = request
        rows(
            "UPDATE hold SET expires_at = clock_timestamp() - interval '1 second'"
            " WHERE request_id = %s",
            request_id,
        )

        found = rows("SELECT request_id FROM sweep_holds_v1(10, 0, 'machine')")

        model = self.models[which]
        assert found == ([(request_id,)] if request_id in model.holds else [])
        if found:
            del model.holds[request_id]
            model.settled[request_id] = "expired"

    @rule(request=requests)
    def forget(self, request: tuple[int, UUID, int]) -> None:
        """A crash of PostgreSQL takes the hold's transaction back, the wallet's part included."""
        which, request_id, _ = request
        amount = self.models[which].holds.pop(request_id, None)
        if amount is not None:
            rows(
                "WITH gone AS (DELETE FROM hold WHERE request_id = %s RETURNING amount_nano)"
                " UPDATE wallet SET held_nano = held_nano - amount_nano FROM gone"
                " WHERE organization_id = %s",
                request_id,
                self.banks[which].organization,
            )

    @rule(pick=st.integers(0, 10**6))
    def again_whatever_came_before(self, pick: int) -> None:
        if self.again:
            self.again[pick % len(self.again)]()

    @invariant()
    def every_balance_is_as_predicted(self) -> None:
        for bank, model in zip(self.banks, self.models, strict=True):
            found = bank.balance()
            assert (found.posted, found.held) == (model.posted, sum(model.holds.values()))

    @invariant()
    def every_invariant_holds(self) -> None:
        assert broken() == {}


@pytest.mark.timeout(300)
def test_no_life_of_a_wallet_breaks_an_invariant(own_database: OwnDatabase) -> None:
    run_state_machine_as_test(
        Money,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
