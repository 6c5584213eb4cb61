"""The sandbox's one model of vectors, in OpenAI's protocol: the same input, the same vector.

A vector is of length 1 and says nothing: it is drawn from the SHAKE-256 of its input.
"""

import base64
import hashlib
import math
import struct

import msgspec

from gateway.sandbox.failures import Failure, Refused, parsed
from gateway.sandbox.openai import OpenAIWords
from gateway.sandbox.service import Asked, Reply, whole
from gateway.sandbox.tokens import count

PATHS = frozenset({"/v1/embeddings", "/embeddings"})
MODEL = "embedding"
DIMENSIONS = 256
DIMENSIONS_MAX = 4096


class _Ask(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: str = "float"
    dimensions: int = DIMENSIONS
    user: str | None = None


class Vectors(OpenAIWords):
    """See `service.Service`."""

    def knows(self, method: str, path: str) -> bool:
        return method == "POST" and path in PATHS

    def answer(self, asked: Asked) -> Reply:
        return whole(answer(asked.body))


_decode = msgspec.json.Decoder(_Ask).decode


def answer(body: bytes) -> bytes:
    """Raises: Refused in OpenAI's words where the request is not one."""
    ask = parsed(_decode, body)
    if ask.model != MODEL:
        raise Refused(Failure(kind="not_found", facts={"model": ask.model}))
    if not ask.input or not 0 < ask.dimensions <= DIMENSIONS_MAX:
        message = f"'input' must not be empty, 'dimensions' be 1 to {DIMENSIONS_MAX}."
        raise Refused(Failure(kind="invalid", message=message, param="input"))
    inputs = _inputs(ask.input)
    vectors = [_vector(each, ask.dimensions) for each in inputs]
    tokens = sum(count(each) if isinstance(each, str) else len(each) for each in inputs)
    is_base64 = ask.encoding_format == "base64"
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": at, "embedding": _written(vector, is_base64)}
                for at, vector in enumerate(vectors)
            ],
            "model": MODEL,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _inputs(told: str | list[str | int | list[int]]) -> list[str | list[int]]:
    if isinstance(told, str):
        return [told]
    numbers = [each for each in told if isinstance(each, int)]
    return [numbers] if numbers else [each for each in told if not isinstance(each, int)]


def _vector(text: str | list[int], dimensions: int) -> list[float]:
    seed = text.encode() if isinstance(text, str) else msgspec.json.encode(text)
    drawn = hashlib.shake_256(seed).digest(2 * dimensions)
    numbers = [number / 32768 for number in struct.unpack(f"<{dimensions}h", drawn)]
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    # What 32 bits hold, so that both encodings say the same.
    return list(struct.unpack(f"<{dimensions}f", _packed([n / length for n in numbers])))


def _packed(vector: list[float]) -> bytes:
    return struct.pack(f"<{len(vector)}f", *vector)


def _written(vector: list[float], is_base64: bool) -> object:
    return base64.b64encode(_packed(vector)).decode() if is_base64 else vector
