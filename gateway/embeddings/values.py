"""What is asked and what is answered, between the codecs: texts in, vectors out.

Both travel in the walk's own types. The texts are a message, too, so that they are counted and
bounded like any other prompt; a maximum of no tokens says that nothing is written.
"""

import base64
import struct
from typing import Literal

import msgspec

from ccapi.core.errors import InvalidParameter
from ccapi.core.usage import Usage
from gateway.ir.request import Message, Other, Raw, Request, Text
from gateway.ir.response import Choice, Response
from gateway.protocols.base import GarbledStream
from gateway.protocols.shared import raws

INPUTS_MAX = 2048  # OpenAI's, the largest of the vendors'
_FIELD = "embedding"

Vector = list[float]


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What to make vectors of: texts, or (OpenAI's alone) tokens."""

    texts: tuple[str, ...] = ()
    tokens: tuple[tuple[int, ...], ...] = ()
    dimensions: int | None = None
    encoding: Literal["float", "base64"] = "float"
    task: str = ""  # Gemini's taskType
    title: str = ""  # Gemini's


_decode = msgspec.json.Decoder(Inputs).decode
_encode = msgspec.json.Encoder().encode
_decode_vector = msgspec.json.Decoder(Vector).decode
_decode_text = msgspec.json.Decoder(str).decode


def request_for(model: str, inputs: Inputs, *, user: str = "") -> Request:
    """Raises: InvalidParameter where there is nothing, or too much, to do."""
    count = len(inputs.texts) + len(inputs.tokens)
    if not 0 < count <= INPUTS_MAX or () in inputs.tokens:
        raise InvalidParameter(
            f"There must be 1 to {INPUTS_MAX} inputs, none of them empty; there are {count}.",
            param="input",
        )
    filler = tuple(" a" * len(each) for each in inputs.tokens)
    parts = tuple(Text(text=text) for text in (*inputs.texts, *filler))
    return Request(
        model=model,
        messages=(Message(role="user", parts=parts),),
        max_tokens=0,
        user=user,
        extras={_FIELD: {_FIELD: Raw(_encode(inputs))}},
    )


def inputs_of(request: Request) -> Inputs:
    return _decode(request.extras[_FIELD][_FIELD])


def response_of(model: str, vectors: list[Raw], usage: Usage | None) -> Response:
    """`vectors` are arrays of numbers, or base64 of little-endian floats of 32 bits.

    Raises: GarbledStream for what is neither.
    """
    parts = tuple(Other(protocol=_FIELD, kind="vector", raw=each) for each in _checked(vectors))
    return Response(id="", model=model, choices=(Choice(parts=parts, stop="stop"),), usage=usage)


def _checked(vectors: list[Raw]) -> list[Raw]:
    """The same vectors, of which each can be written either way. Raises: GarbledStream."""
    for vector in vectors:
        if raws.first(vector) == b"[":
            _numbers(vector)
        else:
            _bytes(vector)
    return vectors


def vectors_of(response: Response) -> list[Raw]:
    return [
        part.raw
        for choice in response.choices
        for part in choice.parts
        if isinstance(part, Other) and part.protocol == _FIELD
    ]


def as_numbers(vector: Raw) -> Raw:
    """The vector as an array of numbers; as it came where it is one."""
    if raws.first(vector) == b"[":
        return vector
    data = _bytes(vector)
    return raws.raw(struct.unpack(f"<{len(data) // 4}f", data))


def as_base64(vector: Raw) -> Raw:
    """The vector as OpenAI's base64; as it came where it is that."""
    if raws.first(vector) != b"[":
        return vector
    told = _numbers(vector)
    return raws.raw(base64.b64encode(struct.pack(f"<{len(told)}f", *told)).decode())


def _numbers(vector: Raw) -> Vector:
    try:
        numbers = _decode_vector(vector)
        struct.pack(f"<{len(numbers)}f", *numbers)
    except (msgspec.DecodeError, struct.error, OverflowError) as error:
        raise GarbledStream("a vector that is no list of numbers") from error
    return numbers


def _bytes(vector: Raw) -> bytes:
    """Of base64: floats of 32 bits."""
    try:
        data = base64.b64decode(_decode_text(vector), validate=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise GarbledStream("a vector that is neither numbers nor base64") from error
    if len(data) % 4:
        raise GarbledStream("a vector that ends within a number")
    return data
