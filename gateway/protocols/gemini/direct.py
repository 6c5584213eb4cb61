"""Same protocol on both sides: the upstream's bytes pass, and `usageMetadata` gains the costs.

Nothing else is changed: the costs are spliced in behind the last field of the provider's own
`usageMetadata`. In a stream that is the last chunk that has one; the chunks with which candidates
end, and what follows them, wait until the charge is known.
"""

from msgspec import DecodeError

from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway.ir.events import Event, Failed, Stopped, UsageReported, is_content
from gateway.ir.response import Costs
from gateway.protocols.base import Frame
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.errors import encode_error
from gateway.protocols.gemini.usage import COST_FIELDS, cost_fields, encode_usage
from gateway.protocols.gemini.writer import Framing
from gateway.protocols.shared.raws import one_line
from gateway.protocols.shared.splice import splice

_LAST = frozenset({Stopped, UsageReported})


class Direct:
    """See `DirectStream`."""

    def __init__(self, *, array: bool) -> None:
        self._framing = Framing(array=array)
        self.content_type = self._framing.content_type
        self._held: list[Frame] = []

    def forward(self, frame: Frame, events: tuple[Event, ...]) -> bytes:
        """Content goes out at once; ends of candidates that were not the last go before it."""
        if not frame.raw:
            return b""  # the body's end
        if not frame.data:
            return b"" if self._framing.array else frame.raw
        if events and type(events[-1]) in _LAST:
            out = self._released() if any(map(is_content, events)) else b""
            self._held.append(frame)
            return out
        if events and type(events[-1]) is Failed:
            return b""  # which `fail` tells
        return self._released() + self._passed(frame)

    def _released(self) -> bytes:
        held, self._held = self._held, []
        return b"".join(map(self._passed, held))

    def _passed(self, frame: Frame) -> bytes:
        return self._framing.chunk(frame.data) if self._framing.array else frame.raw

    def end(self, usage: Usage, costs: Costs) -> bytes:
        """The costs go where the provider told its usage last, or else into its last chunk."""
        told = [at for at, frame in enumerate(self._held) if b'"usageMetadata"' in frame.data]
        place = told[-1] if told else len(self._held) - 1
        out = b""
        for at, frame in enumerate(self._held):
            if at != place:
                out += self._passed(frame)
                continue
            data = with_costs(frame.data, costs, usage)
            if not self._framing.array and frame.raw.count(frame.data) == 1:
                out += frame.raw.replace(frame.data, data)
            else:
                out += self._framing.chunk(one_line(data))
        return out + self._framing.end()

    def fail(self, error: GatewayError) -> bytes:
        return self._framing.chunk(encode_error(error, ""))


def with_costs(body: bytes, costs: Costs, usage: Usage | None = None) -> bytes:
    """A JSON object with the costs inside its `usageMetadata`; what is none passes as it is.

    Where it has no usage, `usage` is told in full.
    """
    try:
        fields = wire.decode_object(body)
        own = fields.get("usageMetadata", wire.NOTHING)
        if not wire.is_set(own):
            told = encode_usage(usage, costs) if usage is not None else dict(cost_fields(costs))
            return splice(body, fields, {"usageMetadata": wire.encode(told)}, after="candidates")
        counts = wire.decode_object(own)
    except (DecodeError, UnicodeDecodeError):
        return body
    last = next((name for name in reversed(counts) if name not in COST_FIELDS), "")
    changes = {name: bytes(value) for name, value in cost_fields(costs).items()}
    return splice(body, fields, {"usageMetadata": splice(bytes(own), counts, changes, after=last)})
