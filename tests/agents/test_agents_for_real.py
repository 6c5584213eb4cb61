"""Codex, Gemini CLI and Claude Code as installed by npm, through whole sessions with their tools.

Each runs without a network but loopback, with an empty home and environment, against the gateway
and providers of each protocol (`room`): reads two files at once, writes a third, runs a command,
and tells what it printed. What the agents send was seen here first; `test_agents_shapes` keeps it
for those who have no agents installed.
"""

import copy
import hashlib
import re
from pathlib import Path

import pytest

from tests.agents import plans
from tests.agents.conftest import Room
from tests.agents.records import MODEL, Order, Report
from tests.agents.vendors.registry import VENDORS
from tests.agents.vendors.vendor import INPUT_TOKENS, OUTPUT_TOKENS
from tests.matrix.test_matrix_requests import validate

TURNS = 4  # reads, write, command, end
CHARGE = INPUT_TOKENS * 1_000 + OUTPUT_TOKENS * 2_000  # nano-dollars a turn, by the room's prices
# Names by which agents know what a model can: for Codex, `gpt-5.5` has the free-text tool
# `apply_patch`, `gpt-6.1-sol` has all its tools in namespaces and calls them by JavaScript.
MODELS = {
    "codex": ["gpt-5.5", "gpt-6.1-sol", "unheard-of"],
    "gemini": ["gemini-2.5-pro", "gemini-3-pro-preview"],
    "claude": ["claude-opus-4-8", "claude-sonnet-4-5"],
}


def name(vendor: str) -> str:
    """Of the provider and the group."""
    return vendor.rpartition("_")[2]


def skip_unless_installed(room: Room, agent: str) -> None:
    if not (Path(room.programs) / agent).exists():
        pytest.skip(f"{agent} is not installed in CCAPI_AGENTS")


def forgets(order: Order) -> bool:
    """Whether the agent itself takes thoughts, and their signatures, out of its history.

    Claude Code does where the answer's model is not the one that it asked for (a provider of its
    own protocol says its own name), Gemini CLI with all parts that are thoughts: what is left are
    signatures on calls, which Gemini alone writes.
    """
    if order.agent == "claude":
        return order.vendor == "anthropic" and order.model != MODEL
    return order.agent == "gemini" and order.vendor != "gemini"


def check(report: Report, order: Order) -> None:
    assert report.exit_code == 0, report.stdout[-2000:] + report.stderr[-2000:]
    assert report.interfaces == ["lo"]
    wanted = plans.content_of(*report.given)
    assert report.made == wanted
    assert hashlib.sha256(wanted.encode()).hexdigest() in report.stdout
    check_answers(report)
    check_requests(report, order)
    check_bill(report)


def check_answers(report: Report) -> None:
    statuses = re.findall(r"^HTTP/1\.1 (\d+)", report.told, re.MULTILINE)
    # Claude Code looks whether anything is at its base URL, and goes on where there is nothing.
    looks = sum(request.method == "HEAD" for request in report.asked)
    assert statuses.count("200") >= TURNS
    assert len(statuses) - statuses.count("200") <= looks
    # What an error is in the middle of a stream, in any of the agents' protocols.
    for failed in ("event: error", "response.failed", 'data: {"error"', '"type":"error"'):
        assert failed not in report.told


def check_requests(report: Report, order: Order) -> None:
    posts = [request for request in report.asked if request.method == "POST"]
    assert len(posts) == len(report.reached) == TURNS
    vendor = VENDORS[order.vendor]
    for position, request in enumerate(report.reached):
        assert vendor.path in request.path
        told = " ".join(request.headers.values()) + request.body.decode()
        assert "sk-cc-" not in told, "the customer's key"
        body = request.json()
        if order.agent != "codex" or order.vendor != "openai_responses":
            # Direct, Codex sends fields that OpenAI's own SDK does not know.
            validate(order.vendor, copy.deepcopy(body))
        if not order.compat:
            signed = [] if forgets(order) else report.signed[:position]
            assert vendor.read(body).signatures == signed


def check_bill(report: Report) -> None:
    ends = [(each["status"], each["outcome"], each["usage_source"]) for each in report.generations]
    assert ends == [("ok", "captured", "provider")] * TURNS
    assert report.charged == TURNS * CHARGE
    audited = re.findall(r"^(I-\S+) (\S+)", report.audit, re.MULTILINE)
    assert audited
    assert {verdict for _, verdict in audited} == {"ok"}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("agent", "model"), [(agent, model) for agent, models in MODELS.items() for model in models]
)
def test_a_session_through_a_group_that_calls_another_vendors_model_by_the_agents_name(
    room: Room, agent: str, model: str, vendor: str
) -> None:
    skip_unless_installed(room, agent)
    order = Order(agent, vendor, model, prefix=f"/with-{name(vendor)}")

    report = room.session(order)

    check(report, order)


@pytest.mark.parametrize("agent", MODELS)
def test_a_session_with_a_model_by_its_id_in_the_catalog(room: Room, agent: str) -> None:
    skip_unless_installed(room, agent)
    order = Order(agent, "openai", "openai/agent")

    report = room.session(order)

    check(report, order)


@pytest.mark.parametrize("vendor", ["openai", "ollama"])
@pytest.mark.parametrize("agent", MODELS)
def test_a_session_with_a_model_that_has_no_tools(room: Room, agent: str, vendor: str) -> None:
    skip_unless_installed(room, agent)
    model = MODELS[agent][-1]
    order = Order(agent, vendor, model, prefix=f"/with-{name(vendor)}/compat_mode", compat=True)

    report = room.session(order)

    check(report, order)
    for request in report.reached:
        assert "tools" not in request.json()
        assert b"<cs:tool-use-guide>" in request.body
