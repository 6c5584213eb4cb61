"""The chat routes: a dictionary from path to what answers it. Found before Django sees the request.

Every route here is billed, so every one passes `relay.admit` (a test lists them and checks).
"""

import msgspec

from gateway.protocols.base import Codec
from gateway.protocols.registry import CODECS


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One chat route. `stamp`.

    CCAPI's own, whose answers name the catalog's model and the provider.
    """

    path: str
    codec: Codec
    endpoint: str
    stamp: bool = False


ROUTES: dict[str, Route] = {
    route.path: route
    for route in (
        Route(path="/chat/completions", codec=CODECS["openai"], endpoint="chat", stamp=True),
        Route(path="/v1/chat/completions", codec=CODECS["openai"], endpoint="chat", stamp=True),
        Route(path="/v1/messages", codec=CODECS["anthropic"], endpoint="messages"),
    )
}
