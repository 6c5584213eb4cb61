"""A collector of traces and webhooks: a real HTTP server that decodes what it is sent."""

import http.server
import json
import threading
import time
from types import TracebackType
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status


class Collector:
    """`spans` by their fields' names in OTLP's JSON; `posts` are other JSON bodies."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.posts: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.raw.append(body)
                if self.path == "/v1/traces":
                    collector.spans += _spans(ExportTraceServiceRequest.FromString(body))
                else:
                    collector.posts.append(json.loads(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Collector":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def trace(self, request_id: str, *, timeout_s: float = 10.0) -> list[dict[str, Any]]:
        """The spans of a request's trace, its own first. Waits for them."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for span in tuple(self.spans):
                if span["attributes"].get("ccapi.request_id") == request_id:
                    rest = [
                        each
                        for each in tuple(self.spans)
                        if each["traceId"] == span["traceId"] and each is not span
                    ]
                    return [span, *rest]
            time.sleep(0.02)
        raise AssertionError(f"no span of {request_id} among {len(self.spans)}")


def _spans(request: ExportTraceServiceRequest) -> list[dict[str, Any]]:
    found = []
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                attributes = {
                    each.key: getattr(each.value, str(each.value.WhichOneof("value")))
                    for each in span.attributes
                }
                found.append(
                    {
                        "name": span.name,
                        "traceId": span.trace_id.hex(),
                        "spanId": span.span_id.hex(),
                        "parentSpanId": span.parent_span_id.hex(),
                        "kind": span.SpanKind.Name(span.kind),
                        "status": Status.StatusCode.Name(span.status.code),
                        "startTimeUnixNano": span.start_time_unix_nano,
                        "endTimeUnixNano": span.end_time_unix_nano,
                        "attributes": attributes,
                    }
                )
    return found
