"""Which runs there are, and how they are carried out: all targets in turn, again and again.

A target is somebody who answers: the upstream itself, our gateway, a peer. Load runs are processes
of their own; who starts the targets is not known here.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from gateway.bench.load import Load, Result
from gateway.bench.wire import PATHS, Asked, Protocol, request

ROOT = Path(__file__).resolve().parents[2]
RUN_S_MAX = 120.0
READY_S = 30.0
STREAMS = 200  # paced ones at once, unless the plan says otherwise
GATEWAY, DATABASE, CACHE = "gateway", "postgres", "valkey"


class BenchFailed(Exception):
    """A target does not answer as it must, or a tool has ended."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who answers. `url` up to the version; `watched` as in `Load`."""

    name: str
    url: str
    model: str
    key: str = ""
    protocol: Protocol = "openai"  # the client's
    watched: dict[str, list[int]] = {}
    is_upstream: bool = False  # the fake one itself, asked directly


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of load."""

    name: str
    asked: Asked
    connections: int
    ramp_s: float = 0.0
    with_upstream: bool = False  # whether the upstream is asked directly as well


SCENARIOS = (
    Scenario(name="json", asked=Asked(), connections=32),
    Scenario(name="stream", asked=Asked(events=1), connections=16),
    Scenario(name="paced", asked=Asked(events=100, gap_ms=20), connections=STREAMS, ramp_s=2.0),
    Scenario(name="single", asked=Asked(), connections=1, with_upstream=True),
)

# By scenario and target, a result for each turn.
Results = dict[tuple[str, str], list[Result]]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How long, how often, and on which cores the load runs (None: anywhere)."""

    seconds: float
    turns: int
    warm_s: float
    cores: set[int] | None
    streams: int = STREAMS


def carry_out(targets: list[Target], plan: Plan, tell: Callable[[str], None]) -> Results:
    """All runs. Raises: BenchFailed."""
    for target in targets:
        wait_ready(target)
    results: Results = {}
    for scenario, target, turn in _order(targets, plan.turns):
        tell(f"{scenario.name}, {target.name}, run {turn + 1} of {plan.turns}")
        result = _run(target, scenario, plan)
        if not (result.answered or result.events):
            raise BenchFailed(f"{target.name} answered nothing ({scenario.name}): {result.error}")
        results.setdefault((scenario.name, target.name), []).append(result)
    return results


def _order(targets: list[Target], turns: int) -> Iterator[tuple[Scenario, Target, int]]:
    """Interleaved, forth and back, so that a change of the machine's mood meets all alike."""
    for scenario in SCENARIOS:
        for turn in range(turns):
            for target in targets if turn % 2 == 0 else reversed(targets):
                if scenario.with_upstream or not target.is_upstream:
                    yield scenario, target, turn


def _run(target: Target, scenario: Scenario, plan: Plan) -> Result:
    ramp_s = min(scenario.ramp_s, plan.seconds)
    load = Load(
        url=target.url + PATHS[target.protocol],
        headers=_headers(target),
        body=request(target.protocol, target.model, scenario.asked),
        is_stream=scenario.asked.events > 0,
        connections=plan.streams if scenario.name == "paced" else scenario.connections,
        seconds=plan.seconds,
        warm_s=max(plan.warm_s, ramp_s * 1.25),
        ramp_s=ramp_s,
        watched=target.watched,
    )
    command = [sys.executable, "-m", "gateway.bench.load"]
    with subprocess.Popen(  # noqa: S603 - a module of ours
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        if plan.cores is not None:
            os.sched_setaffinity(process.pid, plan.cores)
        try:
            output, _ = process.communicate(msgspec.json.encode(load), timeout=RUN_S_MAX)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise BenchFailed(f"The load generator ended with code {process.returncode}.")
    return msgspec.json.decode(output, type=Result)


def wait_ready(target: Target) -> None:
    """Until it answers a whole request. Raises: BenchFailed."""
    body = request(target.protocol, target.model, Asked())
    asked = urllib.request.Request(  # noqa: S310 - an address that the operator gives
        target.url + PATHS[target.protocol], data=body, headers=_headers(target)
    )
    deadline, reason = time.monotonic() + READY_S, ""
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 - the same
                answer.read()
                return
        except urllib.error.HTTPError as error:
            reason = error.read(300).decode(errors="replace")
        except OSError as error:
            reason = str(error)
        time.sleep(0.3)
    raise BenchFailed(f"{target.name} at {target.url} does not answer: {reason}")


def _headers(target: Target) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if target.key:
        headers["authorization"] = f"Bearer {target.key}"
    return headers
