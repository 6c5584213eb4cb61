"""Same protocol on both sides: the upstream's bytes pass, and `usage` gains the costs.

Nothing else is changed: the costs are spliced in before the closing brace of the provider's own
`usage` object. In a stream that is the `message_delta`; it and `message_stop` wait until the charge
is known.
"""

from msgspec import DecodeError, Raw

from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway.ir.events import Completed, Event, Failed, Stopped, UsageReported
from gateway.ir.response import Costs
from gateway.protocols.anthropic import wire
from gateway.protocols.anthropic.errors import encode_error
from gateway.protocols.anthropic.stream_encode import CONTENT_TYPE
from gateway.protocols.anthropic.usage import COST_FIELDS, cost_fields, encode_usage
from gateway.protocols.base import Frame

# Most frames are none of these, and the test by type is quicker than the match.
_HELD = frozenset({UsageReported, Stopped, Completed, Failed})


class Direct:
    """See `DirectStream`."""

    content_type = CONTENT_TYPE

    def __init__(self) -> None:
        self._usage_frame: Frame | None = None
        self._stop_frame: Frame | None = None

    def forward(self, frame: Frame, events: tuple[Event, ...]) -> bytes:
        """Content goes out at once; a usage that was not the last one goes before it."""
        if not events:
            return self._passed(frame) if b'"content_block_' in frame.data else frame.raw
        if type(events[-1]) not in _HELD:
            return self._passed(frame)
        match events[-1]:
            case UsageReported() | Stopped():
                earlier, self._usage_frame = self._usage_frame, frame
                return earlier.raw if earlier else b""
            case Completed():
                self._stop_frame = frame
                return b""
        return b""  # a `Failed`, which `fail` tells

    def _passed(self, frame: Frame) -> bytes:
        if self._usage_frame is None:
            return frame.raw
        earlier, self._usage_frame = self._usage_frame, None
        return earlier.raw + frame.raw

    def end(self, usage: Usage, costs: Costs) -> bytes:
        out = b""
        if self._usage_frame is not None:
            out = frame_with_costs(self._usage_frame, usage, costs)
        return out + (self._stop_frame.raw if self._stop_frame else b"")

    def fail(self, error: GatewayError) -> bytes:
        return b"event: error\ndata: " + encode_error(error, "") + b"\n\n"


def frame_with_costs(frame: Frame, usage: Usage, costs: Costs) -> bytes:
    """The frame with the costs in its usage; byte-exact otherwise."""
    data = with_costs(frame.data, costs, usage)
    if frame.raw.count(frame.data) == 1:
        return frame.raw.replace(frame.data, data)
    # The JSON stood in several `data:` lines.
    lines = b"".join(b"data: " + line + b"\n" for line in data.split(b"\n"))
    return (b"event: " + frame.event.encode() + b"\n" if frame.event else b"") + lines + b"\n"


def with_costs(body: bytes, costs: Costs, usage: Usage | None = None) -> bytes:
    """A JSON object with the costs inside its `usage` object.

    Where it has none (then `usage` is told in full), or one that names costs already, the object is
    written anew, its other values as they came. What is no JSON object passes as it is.
    """
    try:
        fields = wire.decode_object(body)
    except (DecodeError, UnicodeDecodeError):
        return body
    own = fields.get("usage", wire.ABSENT)
    if wire.absent(own):
        told = encode_usage(usage, costs) if usage is not None else cost_fields(costs)
        return wire.encode(fields | {"usage": told})
    try:
        counts = wire.decode_object(own)
    except (DecodeError, UnicodeDecodeError):
        return body
    if counts.keys().isdisjoint(COST_FIELDS):
        spliced = _splice(body, fields, costs)
        if spliced is not None:
            return spliced
    return wire.encode(fields | {"usage": counts | cost_fields(costs)})


def _splice(body: bytes, fields: wire.Object, costs: Costs) -> bytes | None:
    """The costs before the closing brace of `usage`; None where its place is not to be found.

    The same bytes may stand elsewhere in the body (in a tool's input), so the result is read again.
    """
    own = bytes(fields["usage"])
    head = own[:-1].rstrip()
    comma = b"" if head.endswith(b"{") else b","
    told = head + comma + wire.encode(cost_fields(costs))[1:-1] + own[len(head) :]
    wanted = fields | {"usage": Raw(told)}
    at = body.rfind(own)
    while at >= 0:
        spliced = body[:at] + told + body[at + len(own) :]
        if wire.decode_object(spliced) == wanted:
            return spliced
        at = body.rfind(own, 0, at)
    return None
