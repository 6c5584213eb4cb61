"""What every answer carries, and how the guard itself answers.

A request id and `Cache-Control: no-store` are added where the application gave none, permissions
for browsers where they apply.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from ccapi.core import ids
from ccapi.core.errors import GatewayError
from ccapi.core.lane import Headers, Receive, Send
from ccapi.guard.headers import Header

App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]
Rendered = tuple[int, dict[str, str], bytes]  # status, headers, body
# An error in the protocol of who asked for this path; None where the path has none of its own.
Render = Callable[[str, GatewayError], Rendered | None]

_NO_STORE = (b"cache-control", b"no-store")


class Answer:
    """`send` for one request: completes the head of its answer."""

    __slots__ = ("_extra", "_send", "started")

    def __init__(self, send: Send, extra: list[Header]) -> None:
        self._send = send
        self._extra = extra
        self.started = False

    def __call__(self, message: Mapping[str, Any]) -> Awaitable[None]:
        # No coroutine of its own: a stream passes here with each event.
        if not self.started and message["type"] == "http.response.start":
            message = {**message, "headers": self.complete(message.get("headers", ()))}
        return self._send(message)

    def complete(self, headers: Headers) -> list[Header]:
        """The answer begins with these; the same for one that takes the server's lane."""
        self.started = True
        return complete(headers, self._extra)


def complete(headers: Headers, extra: list[Header]) -> list[Header]:
    """An answer's headers with what every answer has."""
    whole = list(headers)
    names = {name.lower() for name, _ in whole}
    if b"x-request-id" not in names:
        whole.append((b"x-request-id", ids.request_id(ids.uuid7()).encode()))
    if b"cache-control" not in names:
        whole.append(_NO_STORE)
    if extra:
        whole += extra
    return whole


def refusal(path: str, error: GatewayError, render: Render) -> tuple[int, list[Header], bytes]:
    """An error as an answer, complete: in the protocol of the path, else in ours."""
    status, told, body = render(path, error) or _ours(error)
    headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]
    headers.append((b"content-length", str(len(body)).encode()))
    if getattr(error, "closes", False):
        headers.append((b"connection", b"close"))
    return status, complete(headers, []), body


def _ours(error: GatewayError) -> Rendered:
    request_id = ids.request_id(ids.uuid7())
    if error.status == 500:
        error.details["request_id"] = request_id
    headers = {"content-type": "application/json", "x-request-id": request_id}
    return error.status, {**headers, **error.http_headers()}, orjson.dumps(error.body())
