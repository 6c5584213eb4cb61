import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from ccapi.core import tracing
from tests.fakes.collector import Collector

ROOT = Path(__file__).resolve().parents[2]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector(settings: Settings) -> Iterator[Collector]:
    with Collector() as collector:
        settings.CCAPI_OTLP_ENDPOINT = collector.url
        tracing.start()
        yield collector
        tracing.stop()


def begin(traceparent: str) -> tracing.Trace:
    trace = tracing.begin([(b"host", b"x"), (b"traceparent", traceparent.encode())])
    assert trace is not None
    return trace


@pytest.mark.parametrize(
    "traceparent",
    [f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00", f"cc-{TRACE}-{PARENT}-01-x"],
)
def test_a_clients_trace_goes_on_whatever_it_says_of_sampling(
    collector: Collector, traceparent: str
) -> None:
    trace = begin(traceparent)

    assert (f"{trace.trace_id:032x}", f"{trace.parent_id:016x}") == (TRACE, PARENT)
    assert trace.header(5) == f"00-{TRACE}-0000000000000005-01"


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}",
        "x" * 10_000,
    ],
)
def test_what_is_no_traceparent_begins_a_trace_of_our_own(
    collector: Collector, traceparent: str
) -> None:
    trace = begin(traceparent)

    assert trace.parent_id == 0
    assert f"{trace.trace_id:032x}" != TRACE


def test_the_share_of_traced_requests_is_ours_to_set(
    collector: Collector, settings: Settings
) -> None:
    settings.CCAPI_TRACE_RATIO = 0.25

    traced = sum(tracing.begin([]) is not None for _ in range(4000))
    settings.CCAPI_TRACE_RATIO = 0

    assert 850 < traced < 1150
    assert tracing.begin([(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())]) is None


def test_what_waits_is_sent_before_the_end(collector: Collector) -> None:
    trace = begin(f"00-{TRACE}-{PARENT}-01")
    span = tracing.Span("chat a/b", "server", trace.span_id, trace.parent_id, 1.0, 1.5, {"n": 1})

    tracing.record(trace, [span._replace(error="upstream_error")])
    tracing.stop()

    (sent,) = collector.spans
    assert (sent["traceId"], sent["parentSpanId"]) == (TRACE, PARENT)
    assert sent["attributes"] == {"n": 1, "error.type": "upstream_error"}
    assert sent["endTimeUnixNano"] - sent["startTimeUnixNano"] == 500_000_000


def test_without_an_endpoint_nothing_of_the_sdk_is_loaded() -> None:
    program = """
import sys, django
django.setup()
import ccapi.asgi
from ccapi.core import tracing
tracing.start()
loaded = [name for name in sys.modules if name.startswith("opentelemetry.")]
print(tracing.begin([]), [name for name in loaded if ".sdk.trace" in name or ".exporter" in name])
"""
    environment = {k: v for k, v in os.environ.items() if "OTLP" not in k}

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**environment, "DJANGO_SETTINGS_MODULE": "ccapi.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.strip() == "None []"
