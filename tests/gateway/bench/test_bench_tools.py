"""The bench's own tools: what they count, and what they say of it."""

import asyncio
import os
import subprocess
import sys
import time

import msgspec
import pytest

from gateway.bench import cpu, load, report, runs
from gateway.bench.load import Load, Result
from gateway.bench.runs import SCENARIOS, Target
from gateway.bench.upstream import Upstream
from gateway.bench.wire import ANSWERS, PATHS, Asked, Protocol, asked_in, request
from gateway.ir.events import Completed, TextDelta
from gateway.protocols.registry import CODECS
from gateway.transport.sse import SSEParser

PROTOCOLS: tuple[Protocol, ...] = ("openai", "anthropic")


async def measured(protocol: Protocol, asked: Asked, *, path: str = "") -> Result:
    """A short load on the fake upstream, both in one loop."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        return await load.run(
            Load(
                url=f"http://127.0.0.1:{port}/v1{path or PATHS[protocol]}",
                headers={},
                body=request(protocol, "fast", asked),
                is_stream=asked.events > 0,
                connections=2,
                seconds=0.3,
                warm_s=0.1,
                watched={"gateway": [os.getpid()]},
            )
        )
    finally:
        server.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("asked", [Asked(), Asked(events=1), Asked(events=5, gap_ms=1)])
def test_answers_are_counted_with_their_events_and_their_cpu_time(
    protocol: Protocol, asked: Asked
) -> None:
    result = asyncio.run(measured(protocol, asked))

    assert result.failed == 0, result.error
    assert result.answered > 3
    assert 0 < result.first_p50_ms <= result.p99_ms
    assert result.p50_ms <= result.p99_ms
    assert result.cpu_s["gateway"] > 0
    if asked.events:
        # The protocol's own frames count too: so many of each stream, give or take one at the ends.
        frames = ANSWERS[protocol].opening.count(b"data:") + ANSWERS[protocol].closing.count(
            b"data:"
        )
        assert abs(result.events / result.answered - asked.events - frames) < 2


def test_an_answer_that_is_not_200_is_a_failure_and_is_told() -> None:
    result = asyncio.run(measured("openai", Asked(), path="/nowhere"))

    assert result.answered == 0
    assert result.failed > 0
    assert "status 404" in result.error


def test_a_stream_without_its_end_marker_is_a_failure() -> None:
    # A JSON answer where a stream was asked for has no marker either.
    body = request("openai", "fast", Asked())

    async def run() -> Result:
        server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await load.run(
                Load(
                    url=f"http://127.0.0.1:{port}/v1/chat/completions",
                    headers={},
                    body=body,
                    is_stream=True,
                    connections=1,
                    seconds=0.1,
                    warm_s=0.05,
                )
            )
        finally:
            server.close()

    result = asyncio.run(run())

    assert result.answered == 0
    assert "without its end marker" in result.error


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_the_upstream_says_is_of_its_protocol(protocol: Protocol) -> None:
    answers, codec = ANSWERS[protocol], CODECS[protocol]
    stream = answers.opening + answers.event * 3 + answers.closing

    response = codec.decode_response(answers.whole.partition(b"\r\n\r\n")[2])
    frames = SSEParser().feed(without_chunks(stream.partition(b"\r\n\r\n")[2]))
    decode = codec.stream_decoder().decode
    events = [event for frame in frames for event in decode(frame)]

    assert response.usage is not None
    assert response.usage.output == 100
    assert isinstance(events[-1], Completed)
    assert sum(isinstance(event, TextDelta) for event in events) == 3


def without_chunks(body: bytes) -> bytes:
    """The content of a chunked body that is whole."""
    parts = []
    while size := int(body.partition(b"\r\n")[0], 16):
        start = body.index(b"\r\n") + 2
        parts.append(body[start : start + size])
        body = body[start + size + 2 :]
    return b"".join(parts)


@pytest.mark.parametrize("asked", [Asked(), Asked(events=1), Asked(events=100, gap_ms=20)])
def test_how_to_answer_survives_its_way_through_a_prompt(asked: Asked) -> None:
    compact = msgspec.json.encode(msgspec.json.decode(request("openai", "fast", asked)))

    assert asked_in(request("openai", "fast", asked)) == asked
    assert asked_in(compact) == asked


def test_cpu_time_is_that_of_a_process_and_of_its_children() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\ntime.sleep(30)"
    child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}]).wait()"
    with subprocess.Popen([sys.executable, "-c", child], start_new_session=True) as process:
        try:
            deadline = time.monotonic() + 20
            while cpu.seconds(cpu.family([process.pid])) < 0.3 and time.monotonic() < deadline:
                time.sleep(0.05)

            assert 0.3 <= cpu.seconds(cpu.family([process.pid])) < 3
            assert len(cpu.tree(process.pid)) == 2
            assert cpu.memory_mb([process.pid]) > 1
        finally:
            os.killpg(process.pid, 9)


def result(**fields: object) -> Result:
    plain = Result(
        answered=100,
        failed=0,
        events=1000,
        seconds=1.0,
        p50_ms=2.0,
        p99_ms=5.0,
        first_p50_ms=1.0,
        gap_p99_ms=25.0,
        cpu_s={"gateway": 0.05, "postgres": 0.01, "valkey": 0.002},
        memory_mb={"gateway": 100.0},
    )
    return msgspec.structs.replace(plain, **fields)


UPSTREAM = Target(name="upstream", url="", model="", is_upstream=True)
OURS = Target(name="CCAPI", url="", model="")


def test_the_report_tells_medians_ranges_goals_and_what_the_gateway_adds() -> None:
    slow = result(cpu_s={"gateway": 0.09, "postgres": 0.01, "valkey": 0.002})
    results: runs.Results = {
        (scenario.name, "CCAPI"): [result(), slow, result()] for scenario in SCENARIOS
    }
    results["single", "upstream"] = [result(p50_ms=0.5), result(p50_ms=0.5), result(p50_ms=0.6)]

    told = report.report(results, [UPSTREAM, OURS], "On a quiet machine.")

    assert told.measured["JSON: CPU, ms a request"]["CCAPI"].median == pytest.approx(0.5)
    assert told.measured["paced streams: CPU, µs an event"]["CCAPI"].highest == pytest.approx(90)
    assert told.measured[report.ADDED]["CCAPI"].median == pytest.approx(1.5)
    assert told.targets == ["CCAPI"]
    line = next(row for row in told.text().splitlines() if row.startswith("JSON: CPU"))
    assert line.split()[-3:] == ["0.500", "[0.500-0.900]", "0.15"]
    assert told.text().endswith("On a quiet machine.\n")


def test_a_peer_whose_process_is_not_known_has_latencies_and_no_cpu() -> None:
    peer = Target(name="the other", url="", model="")
    results: runs.Results = {
        (scenario.name, "the other"): [result(cpu_s={}, memory_mb={})] for scenario in SCENARIOS
    }
    results["single", "upstream"] = [result()]

    told = report.report(results, [UPSTREAM, peer], "")

    assert "JSON: CPU, ms a request" not in told.measured
    assert told.measured["JSON: p50 of 32 at once, ms"]["the other"].median == 2.0


def test_a_target_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "READY_S", 0.2)
    nobody = Target(name="nobody", url="http://127.0.0.1:1/v1", model="x")

    with pytest.raises(runs.BenchFailed, match=r"nobody at http://127\.0\.0\.1:1/v1"):
        runs.wait_ready(nobody)
