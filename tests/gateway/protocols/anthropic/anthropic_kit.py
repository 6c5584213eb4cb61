"""What the tests of this codec share: transcripts, recorded exchanges, the SDK's own reading."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from anthropic._models import construct_type
from anthropic.lib.streaming._beta_messages import accumulate_event
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent
from httpx2 import Headers
from msgspec import Raw

from ccapi.core.usage import Usage
from gateway.ir.events import Event
from gateway.ir.request import Request
from gateway.ir.response import Costs
from gateway.protocols.anthropic import CODEC
from gateway.protocols.base import Body, Frame, Target, Told
from gateway.transport.sse import SSEParser

Json: TypeAlias = Any  # values of JSON, and fields of requests, as the tests write them

WIRE = Path(__file__).parents[3] / "wire" / "anthropic"
TOLD = Told(id="gen_1", model="asked/for", provider="anthropic", created=1_700_000_000)
COSTS = Costs(input="0.000018", output="0.0001536", total="0.0001716")
COST_FIELDS = {"input_cost": 0.000018, "output_cost": 0.0001536, "cost": 0.0001716}
# What newer models can, so that the client's own words need no repair.
CAPABLE = frozenset({"mid_conversation_system"})


def body_of(request: dict[str, Any]) -> Body:
    return msgspec.json.decode(json.dumps(request).encode(), type=dict[str, Raw])


def ask(**fields: Json) -> dict[str, Any]:
    """A small request body."""
    start = {"model": "claude", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
    return start | fields


def decoded(**fields: Json) -> Request:
    return CODEC.decode_request(body_of(ask(**fields)))


def target(**fields: Json) -> Target:
    wanted: dict[str, Json] = {"upstream_model": "claude-up", "stream": False}
    return Target(**wanted | fields)


def encoded(request: Request, **fields: Json) -> dict[str, Any]:
    """The body that an upstream gets."""
    body: dict[str, Any] = json.loads(CODEC.encode_request(request, target(**fields)).body)
    return body


def transcript(name: str) -> bytes:
    return (WIRE / f"{name}.sse").read_bytes()


def transcripts() -> list[str]:
    return sorted(path.stem for path in WIRE.glob("*.sse"))


def frames(data: bytes) -> list[Frame]:
    return SSEParser().feed(data)


def events(data: bytes) -> list[Event]:
    decoder = CODEC.stream_decoder()
    return [event for frame in frames(data) for event in decoder.decode(frame)]


def told_stream(happened: Iterable[Event], usage: Usage | None = None) -> bytes:
    """Events as a client of this protocol gets them, to the end."""
    encoder = CODEC.stream_encoder(decoded(stream=True), TOLD)
    return b"".join(map(encoder.encode, happened)) + encoder.end(usage or Usage(), COSTS)


def direct_stream(data: bytes) -> bytes:
    decoder, direct = CODEC.stream_decoder(), CODEC.direct_stream(decoded(stream=True), TOLD)
    out = b"".join(direct.forward(frame, decoder.decode(frame)) for frame in frames(data))
    return out + direct.end(Usage(), COSTS)


def sdk_message(data: bytes) -> BetaMessage:
    """What the official SDK makes of a stream, by its own types and its own accumulation."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for frame in frames(data):
        # The SDK drops events without a name, and pings.
        if frame.event in ("", "ping"):
            continue
        assert frame.event != "error", frame.data
        event: Any = construct_type(
            type_=BetaRawMessageStreamEvent,
            value=json.loads(frame.data),
        )
        assert event.type == frame.event
        if event.type == "content_block_start":
            assert event.index == len(snapshot.content)
        snapshot = accumulate_event(
            event=event,
            current_snapshot=snapshot,
            json_bufs=buffers,
            request_headers=Headers(),
        )
    assert snapshot is not None
    result: BetaMessage = snapshot
    return result


def plain(value: Json) -> Json:
    """Types of ours with raw JSON → values that compare by meaning."""
    if isinstance(value, Raw):
        return json.loads(bytes(value)) if len(value) else None
    if isinstance(value, msgspec.Struct):
        return {
            type(value).__name__: {k: plain(getattr(value, k)) for k in value.__struct_fields__}
        }
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    return value


def recorded(*, stream: bool | None = None) -> list[Any]:
    """Recorded exchanges of this protocol, as parameters of a test."""
    path = os.environ.get("CCAPI_EXCHANGES")
    if not path:
        reason = "CCAPI_EXCHANGES names no file of recorded exchanges"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
    with Path(path).open(encoding="utf-8") as lines:
        exchanges = [json.loads(line) for line in lines]
    return [
        pytest.param(exchange, id=exchange["id"].rpartition("/")[2])
        for exchange in exchanges
        if exchange["protocol"] == "anthropic" and stream in (None, exchange["stream"])
    ]
