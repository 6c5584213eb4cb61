"""Bodies whose length nobody told: counted while they come.

A body with Content-Length needs no counting: its number has been checked, and the server holds the
client to it.
"""

from typing import Any

from ccapi.core.errors import GatewayError
from ccapi.core.lane import Receive
from ccapi.guard.headers import too_large


class CountedBody:
    """`receive` for a chunked body.

    Beyond the limit the application is told that the client has gone, and `error` says why.
    """

    def __init__(self, receive: Receive, limit: int) -> None:
        self.error: GatewayError | None = None
        self._receive = receive
        self._limit = limit
        self._left = limit

    async def __call__(self) -> dict[str, Any]:
        if self.error is not None:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.error = too_large(self._limit)
                return {"type": "http.disconnect"}
        return message
