"""What a codec is: pure functions between one protocol's bytes and our types (`gateway.ir`).

*decode* is wire → ours, *encode* ours → wire. Each codec serves both sides: a client that speaks
its protocol, and an upstream that does. Where both sides speak the same one, the *direct* functions
let the bytes pass and change only what is listed in the codec's docstring.

A codec imports `gateway.ir` and `ccapi.core`; no Django, no HTTP, no other codec. It lives in one
folder (`wire` types, `request`, `response`, `stream`, `errors`) and is found through
`gateway.protocols.registry`.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway.ir.events import Event
from gateway.ir.failure import FailureKind
from gateway.ir.request import Raw, Request
from gateway.ir.response import Costs, Response

__all__ = [
    "END_OF_BODY",
    "Body",
    "Codec",
    "DirectStream",
    "Encoded",
    "FailureKind",
    "Frame",
    "Framing",
    "GarbledStream",
    "StreamDecoder",
    "StreamEncoder",
    "Target",
    "Told",
    "UpstreamFailure",
]

Framing = Literal["sse", "ndjson"]
Body = dict[str, Raw]  # a JSON object's top level, values as they came, order kept


class UpstreamFailure(msgspec.Struct, frozen=True, kw_only=True):
    """An error answer of an upstream.

    Understood. `message` is the provider's text, not yet scrubbed.
    """

    kind: FailureKind
    status: int
    message: str
    code: str = ""
    request_id: str = ""
    retry_after: float | None = None  # seconds


class Frame(msgspec.Struct, frozen=True):
    """One event of an upstream's stream. `raw` is what came, with its terminating line end(s)."""

    raw: bytes
    # The `data:` lines, joined by \\n, or the line of NDJSON; b"" for comments and pings.
    data: bytes
    event: str = ""  # the `event:` line


# What a decoder is fed when the upstream's body has ended properly: for protocols without an end
# marker (Gemini's) that is what completes an answer; for all others it means nothing.
END_OF_BODY = Frame(raw=b"", data=b"")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The candidate that a request is prepared for."""

    upstream_model: str
    stream: bool
    max_tokens: int | None = None  # a cap the wallet imposes; only where the client named none
    max_output_tokens: int = 0  # of the model; 0: unknown
    capabilities: frozenset[str] = frozenset()


class Encoded(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream request. `dropped` names parameters that the protocol has no counterpart for."""

    path: str  # below the provider's base URL, with its leading slash
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the client is told about who answered.

    `stamp`: on the direct path, whether `model` and `provider` replace (are added to) what the
    upstream said (CCAPI's own OpenAI routes), or its own words stand. `request` is what the client
    asked, for protocols whose answers repeat it.
    """

    id: str  # an id to use where the upstream gave none
    model: str
    provider: str
    created: int  # epoch seconds
    stamp: bool = True
    request: Request | None = None


class GarbledStream(ValueError):
    """The upstream sent a frame, or an answer, that is not of its protocol."""


class StreamDecoder(Protocol):
    """Frames of one upstream stream → events. Keeps state; one per attempt."""

    def decode(self, frame: Frame) -> tuple[Event, ...]:
        """Events of one frame; () for pings and comments. Raises: GarbledStream.

        The last frame of a body that ended properly is END_OF_BODY.
        """


class StreamEncoder(Protocol):
    """Events → the client's bytes (complete frames). Keeps state; one per stream.

    `Stopped`, `UsageReported`, `Completed` and `Failed` may come through `encode`; the end marker
    and the final usage are written by `end` alone, an error's frame by `fail` alone. Exactly one of
    the two is called, last.
    """

    content_type: str

    def encode(self, event: Event) -> bytes: ...

    def end(self, usage: Usage, costs: Costs) -> bytes:
        """The final usage with its costs and the protocol's end marker."""

    def fail(self, error: GatewayError) -> bytes:
        """The protocol's own error event, and no end marker."""


class DirectStream(Protocol):
    """Upstream frames → a client of the same protocol, as they came, but for the end.

    The frame that carries the final usage, and the end marker, are kept until the charge is known.
    """

    content_type: str

    def forward(self, frame: Frame, events: tuple[Event, ...]) -> bytes:
        """The bytes of this frame for the client now (b"" where it is held back)."""

    def end(self, usage: Usage, costs: Costs) -> bytes: ...

    def fail(self, error: GatewayError) -> bytes: ...


class Codec(Protocol):
    """One protocol, both sides."""

    name: str
    framing: Framing  # how its streams are cut into frames
    default_auth: str  # bearer | x-api-key | …
    forward_headers: frozenset[str]  # client headers (lower case) that pass on the direct path

    # A client that speaks this protocol.
    def decode_request(self, body: Body) -> Request:
        """Raises: MissingParameter.

        InvalidParameter, UnsupportedParameter, naming the field in `param`.
        """

    def encode_response(
        self, response: Response, told: Told, usage: Usage, costs: Costs
    ) -> bytes: ...

    def stream_encoder(self, request: Request, told: Told) -> StreamEncoder: ...

    def error_status(self, error: GatewayError) -> int:
        """The status that this protocol's clients expect for the error (Claude.

        529 for overload).
        """

    def encode_error(self, error: GatewayError, request_id: str) -> bytes: ...

    # An upstream that speaks it.
    def encode_request(self, request: Request, target: Target) -> Encoded:
        """Raises: UnsupportedParameter where dropping the unsayable would change the answer."""

    def decode_response(self, body: bytes) -> Response:
        """Raises: GarbledStream."""

    def stream_decoder(self) -> StreamDecoder: ...

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFailure:
        """`headers` has lower-case names. Also for an error object inside a 200."""

    # Both.
    def direct_request(self, body: Body, target: Target) -> Encoded:
        """The client's own body with the model's name (and what metering needs) replaced."""

    def direct_response(self, body: bytes, told: Told, costs: Costs) -> bytes:
        """The upstream's own body with the added fields."""

    def direct_stream(self, request: Request, told: Told) -> DirectStream: ...
