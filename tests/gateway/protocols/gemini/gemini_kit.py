"""What the tests of this codec share: transcripts, recorded exchanges, the SDK's own reading."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from google.genai import types
from msgspec import Raw

from ccapi.core.usage import Usage
from gateway.ir.events import Event
from gateway.ir.request import Request
from gateway.ir.response import Costs
from gateway.protocols.base import END_OF_BODY, Body, Frame, Target, Told
from gateway.protocols.gemini import CODEC
from gateway.transport.sse import SSEParser

Json: TypeAlias = Any  # values of JSON, and fields of requests, as the tests write them

WIRE = Path(__file__).parents[3] / "wire" / "gemini"
TOLD = Told(id="gen_1", model="asked/for", provider="google", created=1_700_000_000)
COSTS = Costs(input="0.000018", output="0.0001536", total="0.0001716")
COST_FIELDS = {"input_cost": 0.000018, "output_cost": 0.0001536, "cost": 0.0001716}
LITERALS = b'"input_cost":0.000018,"output_cost":0.0001536,"cost":0.0001716'


def body_of(request: dict[str, Any]) -> Body:
    return msgspec.json.decode(json.dumps(request).encode(), type=dict[str, Raw])


def ask(**fields: Json) -> dict[str, Any]:
    """A small request body, as the route hands it on."""
    start = {"model": "gemini-x", "stream": False, "contents": [{"parts": [{"text": "Hi"}]}]}
    return start | fields


def decoded(**fields: Json) -> Request:
    return CODEC.decode_request(body_of(ask(**fields)))


def target(**fields: Json) -> Target:
    wanted: dict[str, Json] = {"upstream_model": "gemini-3-flash", "stream": False}
    return Target(**wanted | fields)


def encoded(request: Request, **fields: Json) -> dict[str, Any]:
    """The body that an upstream gets."""
    body: dict[str, Any] = json.loads(CODEC.encode_request(request, target(**fields)).body)
    return body


def again(request: Request, **fields: Json) -> Request:
    """The request after it went out to an upstream and was read there."""
    sent = CODEC.encode_request(request, target(**fields)).body
    body = msgspec.json.decode(sent, type=dict[str, Raw])
    return CODEC.decode_request(body | {"model": Raw(json.dumps(request.model).encode())})


def transcript(name: str) -> bytes:
    return (WIRE / f"{name}.sse").read_bytes()


def transcripts() -> list[str]:
    return sorted(path.stem for path in WIRE.glob("*.sse"))


def frames(data: bytes) -> list[Frame]:
    """The frames of a body that ended properly."""
    return [*SSEParser().feed(data), END_OF_BODY]


def events(data: bytes) -> list[Event]:
    decoder = CODEC.stream_decoder()
    return [event for frame in frames(data) for event in decoder.decode(frame)]


def told_stream(happened: Iterable[Event], usage: Usage | None = None, **asked: Json) -> bytes:
    """Events as a client of this protocol gets them, to the end."""
    encoder = CODEC.stream_encoder(decoded(stream=True, **asked), TOLD)
    return b"".join(map(encoder.encode, happened)) + encoder.end(usage or Usage(), COSTS)


def direct_stream(data: bytes, **asked: Json) -> bytes:
    decoder = CODEC.stream_decoder()
    direct = CODEC.direct_stream(decoded(stream=True, **asked), TOLD)
    out = b"".join(direct.forward(frame, decoder.decode(frame)) for frame in frames(data))
    return out + direct.end(Usage(), COSTS)


def read_by_sdk(data: bytes | dict[str, Any]) -> types.GenerateContentResponse:
    """One answer, or one chunk, as the official SDK reads it."""
    fields = json.loads(data) if isinstance(data, bytes) else data
    return types.GenerateContentResponse._from_response(response=fields, kwargs={})


def sdk_chunks(data: bytes) -> list[types.GenerateContentResponse]:
    """A stream split as the official SDK splits it: by lines, a blank one ending a chunk."""
    chunks = []
    pending: list[str] = []
    for line in data.decode().splitlines():
        if line.startswith("data: "):
            pending.append(line.removeprefix("data: "))
        elif not line and pending:
            chunks.append(read_by_sdk(json.loads("".join(pending))))
            pending = []
    assert not pending
    return chunks


def said(chunks: Iterable[types.GenerateContentResponse]) -> dict[str, Any]:
    """What a reader of the SDK's types takes from an answer: of its first candidate."""
    found: dict[str, Any] = {"text": "", "thoughts": "", "calls": [], "other": [], "stop": None}
    for chunk in chunks:
        for candidate in chunk.candidates or []:
            if candidate.index:
                continue
            found["stop"] = candidate.finish_reason or found["stop"]
            for part in (candidate.content.parts if candidate.content else None) or []:
                if part.text is not None:
                    found["thoughts" if part.thought else "text"] += part.text
                elif part.function_call is not None:
                    found["calls"].append((part.function_call.name, part.function_call.args))
                else:
                    found["other"].append(part.model_dump(exclude_none=True))
    return found


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
        if exchange["protocol"] == "gemini" and stream in (None, exchange["stream"])
    ]


def asked_of(exchange: Json) -> dict[str, Any]:
    """A recorded request with what its path says, as the route hands it on."""
    model = exchange["path"].rpartition("models/")[2].partition(":")[0]
    return {"model": model, "stream": exchange["stream"], **exchange["request"]}
