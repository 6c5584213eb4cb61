"""The direct path: bytes pass, and only what the package's docstring lists changes."""

import msgspec

from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway.ir.events import Completed, Event, Failed, Started
from gateway.ir.request import Reasoning
from gateway.ir.response import Costs
from gateway.protocols.base import Body, Encoded, Frame, Target, Told
from gateway.protocols.openai_responses import echo, errors, items, signatures, wire
from gateway.protocols.openai_responses.items_out import encode_thoughts
from gateway.protocols.openai_responses.request import OUTPUT_TOKENS_MIN, PATH
from gateway.protocols.openai_responses.usage import encode_usage
from gateway.protocols.openai_responses.wire import NAME
from gateway.protocols.openai_responses.writer import CONTENT_TYPE
from gateway.protocols.shared.openai_fields import cost_fields
from gateway.protocols.shared.splice import splice

# Fields of CCAPI's own, which no upstream knows.
OWN_FIELDS = frozenset({"models"})


def direct_request(body: Body, target: Target) -> Encoded:
    """The client's body, its values as they came."""
    sent: Body = {"model": wire.raw(target.upstream_model)}
    sent.update((name, value) for name, value in body.items() if name not in OWN_FIELDS)
    sent["model"] = wire.raw(target.upstream_model)
    limit = body.get("max_output_tokens")
    if target.max_tokens is not None and (limit is None or not wire.is_set(limit)):
        sent["max_output_tokens"] = wire.raw(max(target.max_tokens, OUTPUT_TOKENS_MIN))
    told = body.get("input")
    if told is not None and signatures.SEALED in bytes(told):
        sent["input"] = _unsealed(told)
    return Encoded(path=PATH, body=wire.encode(sent))


def _unsealed(told: wire.Raw) -> wire.Raw:
    """Thoughts that we sealed: this protocol's own as they were, others' to no upstream."""
    try:
        raws = wire.decode_raws(told)
    except msgspec.DecodeError:
        return told
    kept: list[object] = []
    for raw in raws:
        item = _sealed(raw)
        if item is None:
            kept.append(raw)
            continue
        part = signatures.unseal(item.encrypted_content or "", items.joined(item.summary))
        if isinstance(part, Reasoning) and part.signed_by == NAME:
            kept.append(encode_thoughts(part.text, signatures.own(part.signature)))
    return wire.raw(kept)


def _sealed(raw: wire.Raw) -> wire.Item | None:
    """The item, if it is a thought under our seal."""
    if signatures.SEALED not in bytes(raw):
        return None
    try:
        item = wire.decode_item(raw)
    except msgspec.DecodeError:
        return None
    return item if signatures.is_sealed(item.encrypted_content or "") else None


def direct_response(body: bytes, told: Told, costs: Costs) -> bytes:
    """The upstream's body with what it cost. Raises: msgspec.DecodeError."""
    del told  # its model and its words stand
    return _with_costs(body, wire.raw({}), costs)


def _with_costs(response: bytes, own: wire.Raw, costs: Costs) -> bytes:
    """A response object with the costs in its usage, which is `own` where it has none."""
    fields = wire.decode_object(response)
    usage = fields.get("usage")
    data = bytes(own) if usage is None or wire.first(usage) != b"{" else bytes(usage)
    told = splice(data, wire.decode_object(data), cost_fields(costs), after="total_tokens")
    return splice(response, fields, {"usage": told}, after="output")


class DirectStream:
    """See `gateway.protocols.base.DirectStream`."""

    content_type = CONTENT_TYPE

    def __init__(self, told: Told) -> None:
        self._told = told
        self._id = items.answer_id("", told)
        self._created = told.created
        self._model = told.model
        self._last: bytes = b""  # the data of the frame that went out last
        self._final: Frame | None = None

    def forward(self, frame: Frame, events: tuple[Event, ...]) -> bytes:
        if self._final is not None:
            return b""
        if events:
            kind = type(events[-1])
            if kind is Completed:
                self._final = frame
                return b""
            if kind is Failed:
                return b""
            if isinstance(events[0], Started):
                self._begin(events[0])
        if frame.data:
            self._last = frame.data
        return frame.raw

    def _begin(self, started: Started) -> None:
        self._id = started.id or self._id
        self._created = started.created or self._created
        self._model = started.model or self._model

    def end(self, usage: Usage, costs: Costs) -> bytes:
        frame = self._final
        if frame is None:
            return b""
        data = frame.data
        fields = wire.decode_object(data)
        response = _with_costs(bytes(fields["response"]), encode_usage(usage, costs), costs)
        new = splice(data, fields, {"response": response})
        if frame.raw.count(data) == 1:
            return frame.raw.replace(data, new)
        # The frame's data had several lines: it becomes one.
        name = f"event: {frame.event}\n".encode() if frame.event else b""
        return name + b"data: " + msgspec.json.format(new, indent=-1) + b"\n\n"

    def fail(self, error: GatewayError) -> bytes:
        response = echo.response_object(self._id, self._told, self._created)
        response["model"] = self._model
        return errors.failure_frames(error, response, self._next())

    def _next(self) -> int:
        """The sequence number that follows the last frame's."""
        try:
            return wire.decode_sequenced(self._last).sequence_number + 1
        except msgspec.DecodeError:
            return 0
