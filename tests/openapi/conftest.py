"""A product whose providers are the sandbox: what the document says is tried on it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.stack import Account, Stack, Web, running
from tests.fakes.sandbox import sandbox
from tests.fakes.studio import studio
from tests.fakes.upstream import Upstream, closed_port
from tests.media_jobs.studio import working

# Pictures that take longer are told to be asked for: an answer, too.
ENVIRONMENT = {"CCAPI_IMAGE_WAIT_S": "20", "CCAPI_WORKER_PROCESSES": "2"}


@pytest.fixture(scope="session")
def documented() -> Iterator[Stack]:
    with (
        sandbox() as url,
        studio() as media_url,
        Upstream() as upstream,
        closed_port() as dead,
        running(
            upstream, dead, accounts={"1000.00": 4}, name="openapi", environment=ENVIRONMENT
        ) as stack,
    ):
        stack.python("-m", "tests.openapi.prepare_sandbox", url, media_url)
        stack.web()
        with working(stack):
            yield stack
            stack.wait_for_no_holds(30)
        stack.audit()


@pytest.fixture(scope="session")
def web(documented: Stack) -> Web:
    return documented.webs[0]


@pytest.fixture(scope="session")
def customer(documented: Stack) -> Account:
    return documented.account("1000.00")


@pytest.fixture(scope="session")
def schema(documented: Stack) -> dict[str, Any]:
    """The document as the running product gives it."""
    with documented.http(None) as client:
        answer = client.get("/schema")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
