"""The direct path: bytes pass, and only the fields listed in the package's docstring change."""

from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway.ir.events import Completed, Event, Failed
from gateway.ir.response import Costs
from gateway.protocols.base import Body, Encoded, Frame, Target
from gateway.protocols.ollama import errors, wire
from gateway.protocols.ollama.request import PATH
from gateway.protocols.ollama.usage import cost_fields, encode_usage
from gateway.protocols.ollama.writer import CONTENT_TYPE
from gateway.protocols.shared.splice import splice


def direct_request(body: Body, target: Target) -> Encoded:
    """The client's body, its values as they came."""
    sent: Body = {**body, "model": wire.raw(target.upstream_model)}
    sent["stream"] = wire.raw(target.stream)
    if target.max_tokens is not None:
        told = sent.get("options")
        options = wire.decode_object(told) if told is not None and wire.is_set(told) else {}
        sent["options"] = wire.raw({**options, "num_predict": target.max_tokens})
    return Encoded(path=PATH, body=wire.encode(sent))


def direct_response(body: bytes, costs: Costs) -> bytes:
    return _with(body, cost_fields(costs))


def _with(data: bytes, added: dict[str, wire.Raw]) -> bytes:
    changes = {name: bytes(value) for name, value in added.items()}
    return splice(data, wire.decode_object(data), changes, after="eval_count")


class DirectStream:
    """See `gateway.protocols.base.DirectStream`."""

    content_type = CONTENT_TYPE

    def __init__(self) -> None:
        self._last: Frame | None = None

    def forward(self, frame: Frame, events: tuple[Event, ...]) -> bytes:
        if events and isinstance(events[-1], Completed):
            self._last = frame
            return b""
        if (events and isinstance(events[-1], Failed)) or self._last is not None:
            return b""
        return frame.raw

    def end(self, usage: Usage, costs: Costs) -> bytes:
        if self._last is None:
            return b""
        fields = wire.decode_object(self._last.data)
        added = cost_fields(costs)
        if "eval_count" not in fields:
            # The provider told no usage: ours, as it was counted.
            told = encode_usage(usage, costs)
            added = {name: wire.raw(value) for name, value in told.items()}
        return _with(self._last.data, added) + b"\n"

    def fail(self, error: GatewayError) -> bytes:
        return errors.encode_error(error, "") + b"\n"
