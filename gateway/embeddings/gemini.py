"""Gemini's embeddings: `embedContent` for one content, `batchEmbedContents` for several.

An upstream is always asked for a batch. Source: https://ai.google.dev/api/embeddings
"""

from collections.abc import Sequence

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
from gateway.protocols.gemini import CODEC as CHAT
from gateway.protocols.gemini.wire import spelled
from gateway.protocols.shared import fields, raws


class _Values(msgspec.Struct):
    values: Raw


class _Metadata(msgspec.Struct, rename="camel"):
    prompt_token_count: int | float | None = None


class _Answer(msgspec.Struct, rename="camel"):
    embeddings: list[_Values]
    usage_metadata: _Metadata | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


class GeminiClient(Vectors):
    """A client of `embedContent`."""

    name = "gemini_embed"

    def decode_request(self, body: Body) -> Request:
        return _request(fields.text(body, "model") or "", [(body, "")])

    def encode_response(self, response: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
        del told
        values = [{"values": as_numbers(each)} for each in vectors_of(response)]
        return raws.encode({"embedding": values[0], "usageMetadata": _metadata(usage, costs)})


class GeminiBatchClient(Vectors):
    """A client of `batchEmbedContents`."""

    name = "gemini_batch_embed"

    def decode_request(self, body: Body) -> Request:
        told = fields.required(fields.tables(body, "requests"), "requests")
        each = [(one, f"requests[{at}].") for at, one in enumerate(told)]
        return _request(fields.text(body, "model") or "", each)

    def encode_response(self, response: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
        del told
        values = [{"values": as_numbers(each)} for each in vectors_of(response)]
        return raws.encode({"embeddings": values, "usageMetadata": _metadata(usage, costs)})


class GeminiUpstream(Vectors):
    name = "gemini_vectors"

    def encode_request(self, request: Request, target: Target) -> Encoded:
        inputs = inputs_of(request)
        if inputs.tokens:
            raise UnsupportedParameter("This model takes texts, no tokens.", param="input")
        shared: dict[str, object] = {"model": f"models/{target.upstream_model}"}
        if inputs.task:
            shared["taskType"] = inputs.task
        if inputs.title:
            shared["title"] = inputs.title
        if inputs.dimensions is not None:
            shared["outputDimensionality"] = inputs.dimensions
        requests = [{**shared, "content": {"parts": [{"text": text}]}} for text in inputs.texts]
        path = f"/models/{target.upstream_model}:batchEmbedContents"
        return Encoded(path=path, body=raws.encode({"requests": requests}))

    def decode_response(self, body: bytes) -> Response:
        try:
            told = _decode_answer(body)
            tokens = count(told.usage_metadata.prompt_token_count) if told.usage_metadata else 0
        except (msgspec.DecodeError, ValueError) as error:
            raise GarbledStream("no vectors") from error
        usage = Usage(input=tokens) if tokens else None
        return response_of("", [each.values for each in told.embeddings], usage)


def _request(model: str, told: Sequence[tuple[fields.Object, str]]) -> Request:
    texts: list[str] = []
    shapes: set[tuple[int | None, str, str]] = set()
    for raw, within in told:
        one = spelled(dict(raw))
        texts.append(_text(one, within))
        shapes.add(
            (
                fields.integer(one, "outputDimensionality", minimum=1, within=within),
                fields.text(one, "taskType", within=within) or "",
                fields.text(one, "title", within=within) or "",
            )
        )
    if len(shapes) > 1:
        raise UnsupportedParameter(
            "All requests of a batch must have the same taskType, title and outputDimensionality.",
            param="requests",
        )
    dimensions, task, title = shapes.pop() if shapes else (None, "", "")
    inputs = Inputs(texts=tuple(texts), dimensions=dimensions, task=task, title=title)
    return request_for(model.removeprefix("models/"), inputs)


def _text(one: fields.Object, within: str) -> str:
    """The texts of one content's parts, as one."""
    path = f"{within}content"
    content = fields.required(fields.table(one, "content", within=within), path)
    parts = fields.required(fields.tables(content, "parts", within=f"{path}."), f"{path}.parts")
    texts = [fields.text(part, "text", within=f"{path}.parts[].") for part in parts]
    if not texts or None in texts:
        raise InvalidParameter("Vectors are made of texts alone.", param=f"{path}.parts")
    return "".join(text for text in texts if text)


def _metadata(usage: Usage, costs: Costs) -> dict[str, object]:
    return {
        "promptTokenCount": usage.input_total,
        "totalTokenCount": usage.total,
        "input_cost": Raw(costs.input.encode()),
        "output_cost": Raw(costs.output.encode()),
        "cost": Raw(costs.total.encode()),
    }


CLIENT, BATCH_CLIENT = GeminiClient(CHAT), GeminiBatchClient(CHAT)
UPSTREAM = GeminiUpstream(CHAT)
