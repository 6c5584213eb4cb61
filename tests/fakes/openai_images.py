"""A fake of OpenAI's image API: generations, and edits whose form it reads for real.

Prompts with FORBIDDEN are refused by its policy. `edits` keeps what came in the forms. Source:
https://platform.openai.com/docs/api-reference/images
"""

import base64
import email.parser
import email.policy
import io
import re
import uuid
from typing import Any

import msgspec

from tests.fakes.steps import Script, reply
from tests.fakes.upstream import Recorded
from tests.fakes.vendors import Refused, Vendor, answer, opened, png

FORBIDDEN = "FORBIDDEN"
_GPT = {"gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2", "gpt-image-2.5-flare"}
_ANY_SIZE = {"gpt-image-2", "gpt-image-2.5-flare"}
_GPT_SIZES = {"auto", "1024x1024", "1536x1024", "1024x1536"}
_OLD_SIZES = {
    "dall-e-2": {"256x256", "512x512", "1024x1024"},
    "dall-e-3": {"1024x1024", "1792x1024", "1024x1792"},
}
_COMMON = {"model", "prompt", "n", "size", "quality", "user"}
_GPT_PARAMETERS = _COMMON | {
    "background",
    "moderation",
    "output_compression",
    "output_format",
    "safety_identifier",
    "complexity",
}
_FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}


class Part(msgspec.Struct):
    """One file of a form."""

    name: str
    filename: str
    media_type: str
    data: bytes


class OpenAIImages(Vendor):
    def __init__(self, *, key: str = "sk-openai-fake-1") -> None:
        super().__init__(key=key)
        self.edits: list[list[Part]] = []
        self._kept: dict[str, bytes] = {}

    def serve(self, request: Recorded, path: str) -> Script:
        if path.startswith("/cdn/") and request.method == "GET":
            data = self._kept.get(path)
            return reply(200, data, media_type="image/png") if data else reply(404)
        if request.headers.get("authorization") != f"Bearer {self.key}":
            told = request.headers.get("authorization", "").removeprefix("Bearer ")
            raise refuse(401, f"Incorrect API key provided: {told}.", code="invalid_api_key")
        if request.method == "POST" and path == "/v1/images/generations":
            body = msgspec.json.decode(request.body)
            return self._make(body, known=_parameters(body))
        if request.method == "POST" and path == "/v1/images/edits":
            return self._edit(request)
        raise refuse(404, f"Invalid URL ({request.method} {path})", code=None)

    def _edit(self, request: Recorded) -> Script:
        body, files = form(request)
        self.edits.append(files)
        images = [file for file in files if file.name in ("image", "image[]")]
        if not images:
            raise refuse(400, "Missing required parameter: 'image'.", param="image")
        if len(images) > 1 and any(file.name == "image" for file in images):
            raise refuse(400, "Duplicate parameter: 'image'. Use image[].", param="image")
        for file in images:
            if file.media_type not in ("image/png", "image/jpeg", "image/webp"):
                raise refuse(400, f"Unsupported mimetype ({file.media_type!r}).", param="image")
            opened(file.data)
        masks = [file for file in files if file.name == "mask"]
        if masks:
            mask, first = opened(masks[0].data), opened(images[0].data)
            if mask.format != "PNG" or not mask.has_transparency_data:
                raise refuse(400, "Invalid mask: it must be a PNG with alpha.", param="mask")
            if mask.size != first.size:
                raise refuse(400, "The mask must be as large as the image.", param="mask")
        return self._make(body, known=_parameters(body) | {"input_fidelity"})

    def _make(self, body: dict[str, Any], *, known: set[str]) -> Script:
        for name in body:
            if name not in known:
                raise refuse(400, f"Unknown parameter: '{name}'.", param=name)
        prompt, model = body.get("prompt"), body.get("model")
        if not isinstance(prompt, str) or not prompt:
            raise refuse(400, "Missing required parameter: 'prompt'.", param="prompt")
        if FORBIDDEN in prompt:
            raise refuse(
                400,
                "Your request was rejected by the safety system.",
                type_="image_generation_user_error",
                code="moderation_blocked",
            )
        count = int(body.get("n", 1))
        if not 1 <= count <= (1 if model == "dall-e-3" else 10):
            raise refuse(400, f"Invalid 'n': {count}.", param="n")
        width, height = _size(model, str(body.get("size", "auto")))
        images = [self._image(body, width, height, shade) for shade in range(count)]
        told: dict[str, Any] = {"created": 1_800_000_000, "data": images}
        if model in _GPT:
            told["size"] = f"{width}x{height}"
            told["usage"] = {
                "input_tokens": 60,
                "input_tokens_details": {"text_tokens": 10, "image_tokens": 50},
                "output_tokens": 272 * count,
                "total_tokens": 60 + 272 * count,
            }
        return answer(200, told, {"x-request-id": f"req_{uuid.uuid4().hex}"})

    def _image(self, body: dict[str, Any], width: int, height: int, shade: int) -> dict[str, str]:
        data = png(width, height, shade)
        if body.get("model") in _GPT:
            kind = str(body.get("output_format", "png"))
            return {"b64_json": base64.b64encode(_as(data, kind)).decode()}
        told = (
            {"revised_prompt": f"{body['prompt']}, in oil"} if body["model"] == "dall-e-3" else {}
        )
        if body.get("response_format") == "b64_json":
            return {**told, "b64_json": base64.b64encode(data).decode()}
        path = f"/cdn/{uuid.uuid4().hex}.png"
        self._kept[path] = data
        return {**told, "url": self.url + path}


def refuse(
    status: int,
    message: str,
    *,
    type_: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = "invalid_value",
) -> Refused:
    """An error in OpenAI's shape."""
    error = {"message": message, "type": type_, "param": param, "code": code}
    return Refused(status, {"error": error}, {"x-request-id": f"req_{uuid.uuid4().hex}"})


def form(request: Recorded) -> tuple[dict[str, Any], list[Part]]:
    """A multipart body: its fields, and its files."""
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    assert message.is_multipart()
    fields: dict[str, Any] = {}
    files = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(data, bytes)
        filename = part.get_filename()
        if filename is None:
            fields[name] = data.decode()
        else:
            files.append(Part(name, filename, part.get_content_type(), data))
    return fields, files


def _parameters(body: dict[str, Any]) -> set[str]:
    model = body.get("model")
    if model in _GPT:
        return _GPT_PARAMETERS
    if model == "dall-e-3":
        return _COMMON | {"response_format", "style"}
    if model == "dall-e-2":
        return _COMMON | {"response_format"}
    raise refuse(404, f"The model '{model}' does not exist.", param="model", code="model_not_found")


def _size(model: object, size: str) -> tuple[int, int]:
    allowed = _OLD_SIZES.get(str(model), _GPT_SIZES)
    if size == "auto" and model in _OLD_SIZES:
        size = "1024x1024"  # their default
    found = re.fullmatch(r"(\d+)x(\d+)", size)
    sides = (int(found[1]), int(found[2])) if found else (1024, 1024)
    free = model in _ANY_SIZE and found and not any(side % 16 for side in sides)
    if size not in allowed and not free:
        raise refuse(400, f"Invalid size '{size}'. Supported: {sorted(allowed)}.", param="size")
    return sides


def _as(data: bytes, kind: str) -> bytes:
    if kind not in _FORMATS:
        raise refuse(400, f"Invalid output_format '{kind}'.", param="output_format")
    if kind == "png":
        return data
    written = io.BytesIO()
    opened(data).save(written, _FORMATS[kind])
    return written.getvalue()
