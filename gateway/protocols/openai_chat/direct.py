"""The direct path: bytes pass, and only the fields listed in the package's docstring change."""

import msgspec

from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway.ir.events import Completed, Event, Failed, Started, UsageReported
from gateway.ir.response import Costs
from gateway.protocols.base import Body, Encoded, Frame, Target, Told
from gateway.protocols.openai_chat import errors, reasoning, wire
from gateway.protocols.openai_chat.request import LIMIT_FIELDS, PATH, limit_field, with_usage
from gateway.protocols.openai_chat.usage import encode_usage
from gateway.protocols.openai_chat.writer import CONTENT_TYPE, DONE_FRAME
from gateway.protocols.shared.openai_fields import cost_fields
from gateway.protocols.shared.splice import Span, beginning, spans, splice

# Fields of CCAPI's own, which no upstream knows.
OWN_FIELDS = frozenset({"models"})

_TRUE = wire.raw(True)
# Events with which a frame may end that waits for the charge.
_LAST = frozenset({Completed, Failed, UsageReported})
_SIGNED = f'"{reasoning.FORMAT_PREFIX}'.encode()


def direct_request(body: Body, target: Target) -> Encoded:
    """The client's body, its values as they came."""
    sent: Body = {"model": wire.raw(target.upstream_model)}
    sent.update((name, value) for name, value in body.items() if name not in OWN_FIELDS)
    sent["model"] = wire.raw(target.upstream_model)
    if target.stream:
        sent["stream"] = body.get("stream", _TRUE)
        sent["stream_options"] = with_usage(body.get("stream_options"))
    if target.max_tokens is not None and not any(
        wire.is_set(body[name]) for name in LIMIT_FIELDS if name in body
    ):
        sent[limit_field(target, {})] = wire.raw(target.max_tokens)
    messages = body.get("messages")
    if messages is not None and _SIGNED in bytes(messages):
        sent["messages"] = _without_signed(messages)
    return Encoded(path=PATH, body=wire.encode(sent))


def _without_signed(messages: wire.Raw) -> wire.Raw:
    """Signatures of other protocols' thoughts, which clients send back, go to no upstream here."""
    try:
        told = wire.decode_objects(messages)
    except msgspec.DecodeError:
        return messages
    for message in told:
        details = message.get("reasoning_details")
        if details is None or not reasoning.decode_signed(details):
            continue
        kept = reasoning.without_signed(details)
        if kept is None:
            del message["reasoning_details"]
        else:
            message["reasoning_details"] = kept
    return wire.raw(told)


def direct_response(body: bytes, told: Told, costs: Costs) -> bytes:
    """The upstream's body with who answered and what it cost. Raises: msgspec.DecodeError."""
    fields = wire.decode_object(body)
    changes = _stamps(told)
    changes["usage"] = _with_costs(fields.get("usage"), costs)
    return splice(body, fields, changes, after="model" if told.stamp else "choices")


def _stamps(told: Told) -> dict[str, bytes]:
    if not told.stamp:
        return {}
    return {"model": wire.encode(told.model), "provider": wire.encode(told.provider)}


def _with_costs(usage: wire.Raw | None, costs: Costs) -> bytes:
    data = b"{}" if usage is None or wire.first(usage) != b"{" else bytes(usage)
    return splice(data, wire.decode_object(data), cost_fields(costs), after="total_tokens")


class DirectStream:
    """See `gateway.protocols.base.DirectStream`.

    The chunks of one stream are alike but for their `choices`: what stands before those (or behind,
    where a vendor writes the model last) is found once by a real parse, and replaced as a whole
    while it stays the same. `"model"` and `"provider"` within quotes can be no part of a longer
    string, so a remainder without them has no second such field; where one has, the frame is parsed
    again.
    """

    content_type = CONTENT_TYPE

    def __init__(self, told: Told) -> None:
        self._told = told
        self._stamps = _stamps(told)
        self._head = self._new_head = b"\0"  # starts no frame
        self._head_size = 1
        self._tail = self._new_tail = b"\0"
        self._completed = False
        self._last: bytes = b""  # the data of the usage frame that is held back
        self._id, self._created, self._model = told.id, told.created, told.model

    def forward(self, frame: Frame, events: tuple[Event, ...]) -> bytes:
        data = frame.data
        if not data or self._completed:
            return b""
        # The few frames that begin an answer or may end one; the many between them go straight on.
        marked = events and (type(events[-1]) in _LAST or type(events[0]) is Started)
        if marked and self._holds_back(data, events):
            return b""
        raw = frame.raw
        if not self._told.stamp:
            return raw
        if raw.startswith(self._head):
            rest = raw[self._head_size :]
            if b'"model"' not in rest and b'"provider"' not in rest:
                return self._new_head + rest
        elif raw.endswith(self._tail):
            rest = raw[: -len(self._tail)]
            if b'"model"' not in rest and b'"provider"' not in rest:
                return rest + self._new_tail
        return self._stamp(raw, data)

    def _holds_back(self, data: bytes, events: tuple[Event, ...]) -> bool:
        """Whether this frame waits for the charge, or says what `end` and `fail` say for us."""
        if isinstance(events[0], Started):
            self._begin(events[0])
        match events[-1]:
            case Completed():
                self._completed = True
                return True
            case Failed():
                return True
            case UsageReported() if not wire.decode_choices(data).choices:
                self._last = data
                return True
            case _:
                return False

    def _begin(self, started: Started) -> None:
        self._id = started.id or self._id
        self._created = started.created or self._created
        if not self._told.stamp:
            self._model = started.model or self._model

    def _stamp(self, raw: bytes, data: bytes) -> bytes:
        """The frame with its two fields, found by a parse; learns what the next ones may share."""
        fields = wire.decode_object(data)
        at = raw.find(data)
        easy = beginning(data, fields, self._stamps, after="model", before="choices")
        if easy is not None and at >= 0:
            self._head, self._new_head = raw[:at] + easy[0], raw[:at] + easy[1]
            self._head_size = len(self._head)
            return self._new_head + raw[self._head_size :]
        places = spans(data, fields)
        new = splice(data, fields, self._stamps, after="model")
        if at < 0 or places is None:
            # The frame's data had several lines: it becomes one.
            return b"data: " + wire.encode(wire.decode_object(new)) + b"\n\n"
        end = at + len(data)
        stamped = [places[name] for name in self._stamps if name in places]
        self._learn(raw, at, end, new, stamped, places.get("choices"))
        return raw[:at] + new + raw[end:]

    def _learn(
        self, raw: bytes, at: int, end: int, new: bytes, stamped: list[Span], choices: Span | None
    ) -> None:
        """Keep the bytes up to the last stamped field, or from the first on, and their new form."""
        if choices is None or not stamped:
            return
        first, last = min(span.key for span in stamped), max(span.end for span in stamped)
        if last < choices.key:
            self._head = raw[: at + last]
            self._head_size = at + last
            # Behind the last stamped field old and new are the same, so count from the end.
            self._new_head = raw[:at] + new[: len(new) - (end - at - last)]
        elif first > choices.end:
            self._tail = raw[at + first :]
            self._new_tail = new[first:] + raw[end:]

    def end(self, usage: Usage, costs: Costs) -> bytes:
        """The upstream's own usage chunk where it sent one, else ours; then the end marker."""
        if self._last:
            fields = wire.decode_object(self._last)
            changes = {**self._stamps, "usage": _with_costs(fields.get("usage"), costs)}
            last = splice(self._last, fields, changes, after="model")
            if b"\n" in last:
                last = wire.encode(wire.decode_object(last))
        else:
            last = self._own_last(usage, costs)
        return b"data: " + last + b"\n\n" + DONE_FRAME

    def _own_last(self, usage: Usage, costs: Costs) -> bytes:
        fields: dict[str, object] = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
        }
        if self._told.stamp:
            fields["provider"] = self._told.provider
        fields["choices"] = []
        fields["usage"] = wire.Raw(encode_usage(usage, costs))
        return wire.encode(fields)

    def fail(self, error: GatewayError) -> bytes:
        return errors.error_frame(error)
