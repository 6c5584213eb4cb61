"""OpenAI's embeddings, both sides; on the direct path only `model`, `provider` and costs change.

Source: https://platform.openai.com/docs/api-reference/embeddings/create
"""

import msgspec

from ccapi.core.errors import InvalidParameter, MissingParameter
from ccapi.core.usage import Usage, count
from gateway.embeddings.codec import Vectors
from gateway.embeddings.values import (
    Inputs,
    as_base64,
    as_numbers,
    inputs_of,
    request_for,
    response_of,
    vectors_of,
)
from gateway.ir.request import Raw, Request
from gateway.ir.response import Costs, Response
from gateway.protocols.base import Body, Encoded, GarbledStream, Target, Told
from gateway.protocols.openai_chat import CODEC as CHAT
from gateway.protocols.shared import fields, raws

PATH = "/embeddings"
_decode_input = msgspec.json.Decoder(str | list[str | int | list[int]]).decode


class _Item(msgspec.Struct):
    embedding: Raw
    index: int = 0


class _Usage(msgspec.Struct):
    prompt_tokens: int | float | None = None
    total_tokens: int | float | None = None


class _Answer(msgspec.Struct):
    data: list[_Item]
    model: str = ""
    usage: _Usage | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


class OpenAIVectors(Vectors):
    name = "openai_embeddings"

    def decode_request(self, body: Body) -> Request:
        model = fields.required(fields.text(body, "model") or None, "model")
        encoding = fields.text(body, "encoding_format") or "float"
        if encoding not in ("float", "base64"):
            raise InvalidParameter(
                f"encoding_format must be float or base64, not {encoding[:64]!r}.",
                param="encoding_format",
            )
        texts, tokens = _inputs(body)
        inputs = Inputs(
            texts=texts,
            tokens=tokens,
            dimensions=fields.integer(body, "dimensions", minimum=1),
            encoding="base64" if encoding == "base64" else "float",
        )
        return request_for(model, inputs, user=fields.text(body, "user") or "")

    def encode_request(self, request: Request, target: Target) -> Encoded:
        inputs = inputs_of(request)
        sent: dict[str, object] = {
            "model": target.upstream_model,
            "input": inputs.texts or inputs.tokens,
            "encoding_format": "float",
        }
        if inputs.dimensions is not None:
            sent["dimensions"] = inputs.dimensions
        return Encoded(path=PATH, body=raws.encode(sent))

    def decode_response(self, body: bytes) -> Response:
        try:
            told = _decode_answer(body)
            usage = None if told.usage is None else _usage(told.usage)
        except (msgspec.DecodeError, ValueError) as error:
            raise GarbledStream("no list of vectors") from error
        ordered = sorted(told.data, key=lambda item: item.index)
        return response_of(told.model, [item.embedding for item in ordered], usage)

    def encode_response(self, response: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
        is_base64 = told.request is not None and inputs_of(told.request).encoding == "base64"
        write = as_base64 if is_base64 else as_numbers
        answer: dict[str, object] = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": at, "embedding": write(vector)}
                for at, vector in enumerate(vectors_of(response))
            ],
            "model": told.model,
        }
        if told.stamp:
            answer["provider"] = told.provider
        answer["usage"] = {
            "prompt_tokens": usage.input_total,
            "total_tokens": usage.total,
            "input_cost": Raw(costs.input.encode()),
            "output_cost": Raw(costs.output.encode()),
            "cost": Raw(costs.total.encode()),
        }
        return raws.encode(answer)

    def direct_request(self, body: Body, target: Target) -> Encoded:
        return Encoded(
            path=PATH, body=raws.encode({**body, "model": raws.raw(target.upstream_model)})
        )

    def direct_response(self, body: bytes, told: Told, costs: Costs) -> bytes:
        return CHAT.direct_response(body, told, costs)


def _inputs(body: Body) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Texts, or tokens: a text, texts, tokens of one input, or of several."""
    told = fields.get(body, "input")
    if told is None:
        raise MissingParameter("'input' is required.", param="input")
    try:
        value = _decode_input(told)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidParameter(
            "'input' must be a text, texts, tokens, or lists of tokens.", param="input"
        ) from error
    if isinstance(value, str):
        return (value,), ()
    texts = tuple(each for each in value if isinstance(each, str))
    numbers = tuple(each for each in value if isinstance(each, int))
    lists = tuple(tuple(each) for each in value if isinstance(each, list))
    if len(value) not in (len(texts), len(numbers), len(lists)):
        raise InvalidParameter("'input' must not mix texts and tokens.", param="input")
    return texts, lists or ((numbers,) if numbers else ())


def _usage(told: _Usage) -> Usage | None:
    tokens = count(told.prompt_tokens) or count(told.total_tokens)
    return Usage(input=tokens) if tokens else None


CODEC = OpenAIVectors(CHAT)
