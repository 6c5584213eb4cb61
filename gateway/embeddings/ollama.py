"""Ollama's embeddings: `/api/embed`, and the older `/api/embeddings`; each takes both bodies.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

import msgspec

from ccapi.core.errors import InvalidParameter, UnsupportedParameter
from ccapi.core.usage import Usage, count
from gateway.embeddings.codec import Vectors
from gateway.embeddings.values import (
    Inputs,
    as_numbers,
    inputs_of,
    request_for,
    response_of,
    vectors_of,
)
from gateway.ir.request import Raw, Request
from gateway.ir.response import Costs, Response
from gateway.protocols.base import Body, Encoded, GarbledStream, Target, Told
from gateway.protocols.ollama import CODEC as CHAT
from gateway.protocols.shared import fields, raws

PATH = "/api/embed"
_decode_input = msgspec.json.Decoder(str | list[str]).decode


class _Answer(msgspec.Struct):
    embeddings: list[Raw]
    model: str = ""
    prompt_eval_count: int | float | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


class OllamaClient(Vectors):
    """A client of `/api/embed`."""

    name = "ollama_embed"

    def decode_request(self, body: Body) -> Request:
        model = fields.required(fields.text(body, "model") or None, "model")
        told = fields.get(body, "input")
        param = "prompt" if told is None else "input"
        told = fields.required(told or fields.get(body, "prompt"), "input")
        try:
            texts = _decode_input(told)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidParameter(f"'{param}' must be a text, or texts.", param=param) from error
        inputs = Inputs(
            texts=(texts,) if isinstance(texts, str) else tuple(texts),
            dimensions=fields.integer(body, "dimensions", minimum=1),
        )
        return request_for(model, inputs)

    def encode_response(self, response: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
        return raws.encode(_answer(response, told, usage, costs))


class OllamaOlderClient(OllamaClient):
    """A client of `/api/embeddings`, which reads the one `embedding`."""

    name = "ollama_embeddings"

    def encode_response(self, response: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
        answer = _answer(response, told, usage, costs)
        return raws.encode({"embedding": as_numbers(vectors_of(response)[0]), **answer})


class OllamaUpstream(Vectors):
    name = "ollama_vectors"

    def encode_request(self, request: Request, target: Target) -> Encoded:
        inputs = inputs_of(request)
        if inputs.tokens:
            raise UnsupportedParameter("This model takes texts, no tokens.", param="input")
        sent: dict[str, object] = {"model": target.upstream_model, "input": inputs.texts}
        if inputs.dimensions is not None:
            sent["dimensions"] = inputs.dimensions
        return Encoded(path=PATH, body=raws.encode(sent))

    def decode_response(self, body: bytes) -> Response:
        try:
            told = _decode_answer(body)
            tokens = count(told.prompt_eval_count)
        except (msgspec.DecodeError, ValueError) as error:
            raise GarbledStream("no vectors") from error
        return response_of(told.model, told.embeddings, Usage(input=tokens) if tokens else None)


def _answer(response: Response, told: Told, usage: Usage, costs: Costs) -> dict[str, object]:
    return {
        "model": told.model,
        "embeddings": [as_numbers(each) for each in vectors_of(response)],
        "total_duration": 0,
        "load_duration": 0,
        "prompt_eval_count": usage.input_total,
        "input_cost": Raw(costs.input.encode()),
        "output_cost": Raw(costs.output.encode()),
        "cost": Raw(costs.total.encode()),
    }


CLIENT, OLDER_CLIENT, UPSTREAM = OllamaClient(CHAT), OllamaOlderClient(CHAT), OllamaUpstream(CHAT)
