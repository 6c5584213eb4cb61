"""OpenTelemetry traces, where `CCAPI_OTLP_ENDPOINT` says so; else nothing of it is even imported.

Spans are written down when they have ended, with the times at which things happened, so that the
walk carries no open spans: only ids, which other services must know beforehand (W3C `traceparent`,
taken from the client and passed on). Which spans there are is `gateway.traces`. The official SDK
batches and exports them over OTLP/HTTP in a thread of its own.

A client's `traceparent` gives the trace its id and never its sampling: that is the operator's.

Source: https://www.w3.org/TR/trace-context/ (read 2026-11-22)
"""

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

HEADER = b"traceparent"
EXPORT_S = 5.0  # how long one batch may take

_PARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_RATIO_BITS = 56  # of a trace id are random for certain (W3C Trace Context, level 2)

Value = str | int | float | bool | Sequence[str]
Kind = Literal["server", "client"]


class Trace(NamedTuple):
    """One sampled request: its trace, its own span, and the client's span where it named one."""

    trace_id: int
    span_id: int
    parent_id: int  # 0: none

    def header(self, span_id: int) -> str:
        """The `traceparent` that makes what follows a child of `span_id`."""
        return f"00-{self.trace_id:032x}-{span_id:016x}-01"


class Span(NamedTuple):
    """What was done, from when to when (monotonic seconds)."""

    name: str
    kind: Kind
    span_id: int
    parent_id: int
    started: float
    ended: float
    attributes: Mapping[str, Value]
    error: str = ""  # a code; "": it went well


class _Exporting(NamedTuple):
    processor: "BatchSpanProcessor"
    resource: "Resource"


_exporting: _Exporting | None = None


def is_on() -> bool:
    return _exporting is not None


def begin(headers: Iterable[tuple[bytes, bytes]]) -> Trace | None:
    """The trace of a request that comes in; None where it is not traced."""
    if _exporting is None:
        return None
    trace_id = parent_id = 0
    for name, value in headers:
        if name == HEADER and (found := _PARENT.fullmatch(value)) is not None:
            trace_id, parent_id = int(found[1], 16), int(found[2], 16)
    if not trace_id or not parent_id:
        trace_id, parent_id = int.from_bytes(os.urandom(16), "big") | 1, 0
    if trace_id % (1 << _RATIO_BITS) >= settings.CCAPI_TRACE_RATIO * (1 << _RATIO_BITS):
        return None
    return Trace(trace_id, new_span_id(), parent_id)


def new_span_id() -> int:
    return int.from_bytes(os.urandom(8), "big") | 1


def start() -> None:
    """Begin to export, where an endpoint is set. The second call does nothing."""
    global _exporting  # noqa: PLW0603 — one exporter a process
    endpoint = settings.CCAPI_OTLP_ENDPOINT
    if not endpoint or _exporting is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ImproperlyConfigured(
            "CCAPI_OTLP_ENDPOINT is set, and what it needs is not installed: "
            "pip install --require-hashes -r requirements/tracing.txt"
        ) from error

    url = endpoint.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
    resource = Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", "ccapi"),
            "service.version": settings.CCAPI_VERSION,
            "process.pid": os.getpid(),
        }
    )
    _exporting = _Exporting(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=EXPORT_S)), resource
    )


def stop() -> None:
    """Send what is waiting, and export no more. Blocks for as long as the collector takes."""
    global _exporting
    exporting, _exporting = _exporting, None
    if exporting is not None:
        exporting.processor.shutdown()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped


def record(trace: Trace, spans: Iterable[Span]) -> None:
    """Hand ended spans of one trace to the exporter. Never waits."""
    exporting = _exporting
    if exporting is None:
        return
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    # Monotonic times as the wall clock has them.
    wall_ns = time.time_ns() - round(time.monotonic() * 1e9)
    flags = TraceFlags(TraceFlags.SAMPLED)
    for span in spans:
        is_remote = span.span_id == trace.span_id
        parent = SpanContext(trace.trace_id, span.parent_id, is_remote, flags)
        exporting.processor.on_end(
            ReadableSpan(
                name=span.name,
                context=SpanContext(
                    trace.trace_id, span.span_id, is_remote=False, trace_flags=flags
                ),
                parent=parent if span.parent_id else None,
                resource=exporting.resource,
                attributes={
                    **span.attributes,
                    **({"error.type": span.error} if span.error else {}),
                },
                kind=SpanKind.SERVER if span.kind == "server" else SpanKind.CLIENT,
                status=Status(StatusCode.ERROR if span.error else StatusCode.UNSET),
                start_time=wall_ns + round(span.started * 1e9),
                end_time=wall_ns + round(span.ended * 1e9),
            )
        )
