"""What is still arriving: uvicorn's HTTP protocol with deadlines and shapes of its own.

A request's head has a time to arrive in and a size, its body a time, both absolute: a byte now and
then extends nothing. A request target that is no path is refused here, since an application sees
only what the server made of it; trailers after a body are dropped, since they would pass for
headers that nobody has checked. Everything that can be said of a whole request is said in
`ccapi.guard.app`, which also renders the errors.

A server that ends closes what idles. A request that is on its way is no idling: the client would be
cut off, and a proxy repeats no POST. So a connection on which nothing has been asked yet is given a
moment, and a request whose head has begun is answered.
"""

import asyncio
from enum import Enum
from typing import Any, ClassVar

from django.conf import settings
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from ccapi.connection import Connection
from ccapi.core import vitals
from ccapi.core.errors import GatewayError, InvalidRequest, RequestTimeout, RequestTooLarge
from ccapi.guard.answers import refusal
from ccapi.guard.app import Guard

VERSIONS = ("1.0", "1.1")
# Headers (16 KiB), path and query, and what else stands in a head. What comes with a head's first
# bytes is not counted, as it may belong to the request before.
HEAD_BYTES_MAX = 32 * 1024
# How long the rest of a body that was answered before its end is read and dropped, in seconds:
# closing at once would reset the connection, and the client would lose the answer.
LINGER_S = 5.0
# How long a connection on which nothing was asked is kept when the server ends, in seconds: who
# connects has a request, as a rule.
ASK_S = 0.5


class _Phase(Enum):
    BETWEEN = "between requests"
    HEAD = "a head is arriving"
    BODY = "a body is arriving"


class GuardedProtocol(Connection):
    """One connection."""

    linger_s: ClassVar[float] = LINGER_S

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.url = b""
        self._phase = _Phase.BETWEEN
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_for: _Phase | None = None
        self._head_bytes = 0
        self._head_began = False
        self._was_asked = False
        self._ends = False

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        super().connection_made(transport)
        self._arm(_Phase.HEAD, settings.CCAPI_HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            self._disarm()
        elif self._phase is _Phase.BODY:
            if self._deadline_for is not _Phase.BODY:
                self._arm(_Phase.BODY, settings.CCAPI_BODY_S)
        elif self._phase is _Phase.HEAD:
            self._count_head(len(data))
        elif self._is_answering():
            self._disarm()
        elif self._deadline is None:
            self._arm(_Phase.HEAD, settings.CCAPI_HEAD_S)  # blank lines: they begin no request

    def shutdown(self) -> None:
        self._ends = True
        if self._phase is _Phase.HEAD:
            return
        if self._was_asked:
            super().shutdown()
        else:
            self.loop.call_later(ASK_S, self._close_unasked)

    def _close_unasked(self) -> None:
        if not self._was_asked:
            self.transport.close()

    # The parser

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = _Phase.HEAD
        self._head_bytes = 0
        self._head_began = self._was_asked = True

    def on_headers_complete(self) -> None:
        if not self.url.startswith(b"/") or b"#" in self.url:
            raise ValueError("The request target is not a path.")  # the parser gives up
        if self.parser.get_http_version() not in VERSIONS:
            raise ValueError("The request is not of HTTP/1.0 or HTTP/1.1.")
        super().on_headers_complete()
        if self._ends or vitals.current().draining:
            self.cycle.keep_alive = False
        self.headers = []  # trailers go here, and nowhere
        self._phase = _Phase.BODY
        self._disarm()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = _Phase.BETWEEN

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._phase is not _Phase.BODY or not self.cycle.response_complete:
            return
        if self.expect_100_continue:
            # It may be sending the body or not: what comes next cannot be told.
            self.transport.close()
        else:
            self._arm(_Phase.BODY, self.linger_s)

    def _unsupported_upgrade_warning(self) -> None:
        # An upgrade is answered as if it had not been asked for; the parser takes nothing after it.
        self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        self._answer(InvalidRequest(msg))

    # Bounds

    def _count_head(self, size: int) -> None:
        if self._head_began:
            self._head_began = False
        else:
            self._head_bytes += size
        if self._head_bytes > HEAD_BYTES_MAX:
            self._answer(RequestTooLarge(f"The request's head is over {HEAD_BYTES_MAX} bytes."))
        elif self._deadline is None:
            self._arm(_Phase.HEAD, settings.CCAPI_HEAD_S)

    def _arm(self, phase: _Phase, seconds: float) -> None:
        self._disarm()
        self._deadline_for = phase
        self._deadline = self.loop.call_later(seconds, self._late, seconds)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = self._deadline_for = None

    def _late(self, seconds: float) -> None:
        phase = self._deadline_for
        self._deadline = self._deadline_for = None
        if self.transport.is_closing():
            return
        if self.pipeline or (phase is _Phase.HEAD and self._is_answering()):
            # An earlier request of the connection is being answered: the client waits for us.
            self._arm(phase or _Phase.HEAD, seconds)
        elif phase is _Phase.HEAD and self._phase is _Phase.BETWEEN:
            self.transport.close()  # nothing has been asked
        elif phase is _Phase.HEAD:
            self._answer(RequestTimeout(f"The request's head took longer than {seconds:g} s."))
        else:
            self._answer(RequestTimeout(f"The request's body took longer than {seconds:g} s."))

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _answer(self, error: GatewayError) -> None:
        """Answer in the application's place and close; an answer that has begun is cut."""
        self._disarm()
        cycle = self.cycle
        if self._is_answering():
            begun = cycle.response_started
            cycle.disconnected = True
            cycle.message_event.set()
        else:
            # After a whole answer only a head that is arriving can be answered, not a body's rest.
            begun = cycle is not None and self._phase is _Phase.BODY
        if not begun:
            self.transport.write(self._rendered(error))
        self.transport.close()

    def _rendered(self, error: GatewayError) -> bytes:
        path = self.url.partition(b"?")[0].decode("latin-1")
        render = self.app.refusal if isinstance(self.app, Guard) else _plain
        status, headers, body = render(path, error)
        lines = [name + b": " + value + b"\r\n" for name, value in headers if name != b"connection"]
        return b"".join([STATUS_LINE[status], *lines, b"connection: close\r\n\r\n", body])


def _plain(path: str, error: GatewayError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    return refusal(path, error, lambda _path, _error: None)
