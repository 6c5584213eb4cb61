"""A fake of Gemini's `generateContent` with pictures as its answer.

What a prompt has in it decides: FORBIDDEN blocks the prompt, UNSAFE stops the picture, WHIM gives
words in place of one. Models of the third generation think in pictures first. Source:
https://ai.google.dev/api/generate-content
"""

import base64
import re
import uuid
from typing import Any

import msgspec

from tests.fakes.steps import Script
from tests.fakes.upstream import Recorded
from tests.fakes.vendors import Refused, Vendor, answer, opened, png

FORBIDDEN, UNSAFE, WHIM = "FORBIDDEN", "UNSAFE", "WHIM"
_PATH = re.compile(r"/v1beta/models/(gemini-[\w.-]*image[\w.-]*):generateContent")
_RATIOS = {
    "1:1": (1024, 1024),
    "2:3": (832, 1248),
    "3:2": (1248, 832),
    "3:4": (864, 1184),
    "4:3": (1184, 864),
    "4:5": (896, 1152),
    "5:4": (1152, 896),
    "9:16": (768, 1344),
    "16:9": (1344, 768),
    "21:9": (1536, 672),
}
_CONFIG = {"responseModalities", "imageConfig", "seed", "temperature", "topP", "topK"}


class GeminiImages(Vendor):
    prefix = "/v1beta"

    def __init__(self, *, key: str = "AIza-gemini-fake-1") -> None:
        super().__init__(key=key)

    def serve(self, request: Recorded, path: str) -> Script:
        if request.headers.get("x-goog-api-key") != self.key:
            raise refuse(400, "API key not valid. Please pass a valid API key.", "API_KEY_INVALID")
        found = _PATH.fullmatch(path)
        if found is None or request.method != "POST":
            raise refuse(404, f"{path} is not found for API version v1beta.", status="NOT_FOUND")
        body = msgspec.json.decode(request.body)
        _check(body, {"contents", "generationConfig", "safetySettings", "systemInstruction"}, "")
        config = body.get("generationConfig", {})
        _check(config, _CONFIG, "generation_config.")
        if "IMAGE" not in config.get("responseModalities", []):
            raise refuse(400, "This fake makes pictures: ask for the IMAGE modality.")
        if not -(2**31) <= config.get("seed", 0) < 2**31:
            raise refuse(400, "Invalid value at 'generation_config.seed' (TYPE_INT32).")
        return self._make(found[1], _parts(body), config)

    def _make(self, model: str, parts: list[dict[str, Any]], config: dict[str, Any]) -> Script:
        text = " ".join(part["text"] for part in parts if "text" in part)
        told: dict[str, Any] = {"modelVersion": model, "responseId": uuid.uuid4().hex}
        if FORBIDDEN in text:
            told["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT"}
            told["usageMetadata"] = {"promptTokenCount": 12, "totalTokenCount": 12}
            return answer(200, told)
        width, height = _shape(model, config.get("imageConfig", {}))
        reason, made = "STOP", [_blob(png(width, height, config.get("seed", 0)))]
        if UNSAFE in text:
            reason, made = "IMAGE_SAFETY", []
        elif WHIM in text:
            reason, made = "NO_IMAGE", [{"text": "I would rather write a poem."}]
        elif model.startswith("gemini-3"):
            made = [{**_blob(png(64, 64, 9)), "thought": True}, *made]
        content = {"role": "model", "parts": made} if made else {}
        told["candidates"] = [{"content": content, "finishReason": reason, "index": 0}]
        images = sum("inlineData" in part for part in parts)
        told["usageMetadata"] = {
            "promptTokenCount": 12 + 258 * images,
            "candidatesTokenCount": 1290,
            "totalTokenCount": 1302 + 258 * images,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 12},
                {"modality": "IMAGE", "tokenCount": 258 * images},
            ],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
        }
        return answer(200, told)


def refuse(
    code: int, message: str, reason: str = "", *, status: str = "INVALID_ARGUMENT"
) -> Refused:
    """An error in Google's shape."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        domain = "googleapis.com"
        error["details"] = [{"@type": kind, "reason": reason, "domain": domain}]
    return Refused(code, {"error": error})


def _check(told: dict[str, Any], known: set[str], within: str) -> None:
    for name in told:
        if name not in known:
            raise refuse(400, f'Invalid JSON payload received. Unknown name "{within}{name}".')


def _parts(body: dict[str, Any]) -> list[dict[str, Any]]:
    parts = [part for content in body["contents"] for part in content["parts"]]
    for part in parts:
        _check(part, {"text", "inlineData"}, "contents.parts.")
        if "inlineData" in part:
            blob = part["inlineData"]
            text = blob["data"].replace("-", "+").replace("_", "/")  # proto JSON takes either
            image = opened(base64.b64decode(text, validate=True))
            told = blob.get("mimeType") or blob.get("mime_type")  # and names in either spelling
            if told != f"image/{(image.format or '').lower()}":
                raise refuse(400, "Unable to process input image.")
    if not any("text" in part for part in parts):
        raise refuse(400, "Give me some words.")
    return parts


def _shape(model: str, config: dict[str, Any]) -> tuple[int, int]:
    _check(config, {"aspectRatio", "imageSize"}, "generation_config.image_config.")
    ratio = config.get("aspectRatio", "1:1")
    if ratio not in _RATIOS:
        raise refuse(400, f"Unsupported aspect ratio {ratio}.")
    times = 1
    if "imageSize" in config:
        if not model.startswith("gemini-3") or config["imageSize"] not in ("1K", "2K", "4K"):
            raise refuse(400, "Unsupported image size.")
        times = int(config["imageSize"][0])
    width, height = _RATIOS[ratio]
    return width * times, height * times


def _blob(data: bytes) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(data).decode()}}
