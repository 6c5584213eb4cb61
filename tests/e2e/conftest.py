"""One product for most whole-product tests: a database, a fake upstream, two web processes.

A test takes an account of its own from it (`account`), so tests do not see each other's money.
"""

from collections.abc import Iterator

import pytest

from tests.e2e.stack import Account, Stack, running
from tests.fakes.upstream import Upstream, closed_port

# How many customers there are, by their credit in dollars.
ACCOUNTS = {"1.00": 100, "0.000001": 40, "0.0003": 1, "0.0025": 1, "0.20": 1, "1000000.00": 1}


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[Stack]:
    with (
        Upstream() as upstream,
        closed_port() as dead,
        running(upstream, dead, accounts=ACCOUNTS, name="shared") as stack,
    ):
        stack.web()
        stack.web()
        yield stack
        # After everything that the tests did to it, every invariant of the ledger holds.
        stack.wait_for_no_holds()
        stack.audit()


@pytest.fixture
def stack(shared_stack: Stack) -> Stack:
    """The shared product, its upstream without scripts or memory."""
    shared_stack.upstream.reset()
    return shared_stack


@pytest.fixture
def upstream(stack: Stack) -> Upstream:
    return stack.upstream


@pytest.fixture
def account(stack: Stack) -> Account:
    return stack.account()
