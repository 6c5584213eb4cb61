"""One production shape for the tests of this folder: it takes seconds to come up."""

import shutil
import signal
from collections.abc import Iterator

import pytest

from tests.deploy.shape import Account, Shape, running


@pytest.fixture(scope="session")
def shape() -> Iterator[Shape]:
    """Migrated and seeded, with the sandbox and two web processes."""
    with running() as shape:
        shape.done("migrate", "--noinput")
        shape.done("catalog", "seed", "--sandbox", shape.start_sandbox())
        shape.start_web(0)
        shape.start_web(1)
        yield shape
        for number in (0, 1):
            shape.tell(f"web {number}", signal.SIGTERM)
        assert "All 17 invariants hold." in shape.done("audit")


@pytest.fixture(scope="session")
def customer(shape: Shape) -> Account:
    return shape.account()


@pytest.fixture
def nginx() -> None:
    """Skips where there is no nginx."""
    if shutil.which("nginx") is None:
        pytest.skip("there is no nginx on this machine's PATH (apt install nginx-light)")
