"""OpenAI's POST /v1/images/generations and /v1/images/edits, said by the sandbox.

Pictures come in base64, as those of GPT Image do, and always as PNGs. Tokens are told by a rule
that can be followed by hand: 1024 a picture, read or made.
Source: https://platform.openai.com/docs/api-reference/images
"""

import base64
import time
from typing import Annotated, Any

import msgspec
import orjson

from gateway.sandbox import pictures
from gateway.sandbox.delivery import body_steps
from gateway.sandbox.failures import Failure, Refused, parsed
from gateway.sandbox.forms import parts
from gateway.sandbox.media_scenarios import IMAGES, scenarios
from gateway.sandbox.openai import OpenAIWords
from gateway.sandbox.refusing import refuse_if_chosen
from gateway.sandbox.scenarios import Chosen, choose
from gateway.sandbox.service import Asked, Reply
from gateway.sandbox.tokens import count

GENERATIONS = frozenset({"/v1/images/generations", "/images/generations"})
EDITS = frozenset({"/v1/images/edits", "/images/edits"})
SLOW_S = 10.0
TOKENS = 1024  # a picture
_TABLE = scenarios(IMAGES)
_REFUSED = (
    "Your request was rejected by the safety system. If you believe this is an error, contact us "
    "at help.openai.com."
)


class _Ask(msgspec.Struct, frozen=True):
    model: str
    prompt: Annotated[str, msgspec.Meta(min_length=1)]
    n: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1
    size: str = "auto"
    seed: int | None = None  # compatible servers take one, and tell it
    response_format: str = "b64_json"
    output_format: str = "png"
    pictures: tuple[bytes, ...] = ()  # of an edit; the mask is one


_decode = msgspec.json.Decoder(_Ask).decode


class Images(OpenAIWords):
    """See `service.Service`."""

    def knows(self, method: str, path: str) -> bool:
        return method == "POST" and path in GENERATIONS | EDITS

    def answer(self, asked: Asked) -> Reply:
        ask = _form(asked) if asked.path in EDITS else parsed(_decode, asked.body)
        chosen = choose(ask.model, _TABLE)
        if chosen is None:
            raise Refused(Failure(kind="not_found", facts={"model": ask.model}))
        refuse_if_chosen(chosen, ask.model)
        if chosen.name == "content-filter":
            failure = Failure(kind="content_filter", code="moderation_blocked", message=_REFUSED)
            raise Refused(failure)
        size = _size(ask)
        length, steps = body_steps(chosen, _answer(ask, chosen, size), error=bytes)
        pause_s = chosen.seconds(SLOW_S) if chosen.name == "slow" else 0.0
        return Reply(steps, length, pause_s=pause_s)


def _form(asked: Asked) -> _Ask:
    fields: dict[str, Any] = {}
    files: list[bytes] = []
    try:
        for part in parts(asked.headers.get("content-type", ""), asked.body):
            if part.is_file:
                files.append(part.data)
            else:
                fields[part.name] = part.data.decode()
        ask = msgspec.convert({**fields, "pictures": ()}, _Ask, strict=False)
    except ValueError as error:  # also msgspec's and Unicode's
        raise Refused(Failure(kind="invalid", message=f"Invalid form: {error}")) from error
    if not files:
        message = "Missing required parameter: 'image'."
        raise Refused(Failure(kind="invalid", message=message, param="image"))
    return msgspec.structs.replace(ask, pictures=tuple(files))


def _size(ask: _Ask) -> pictures.Size:
    for name, value, only in (
        ("response_format", ask.response_format, "b64_json"),
        ("output_format", ask.output_format, "png"),
    ):
        if value != only:
            message = f"Invalid value: '{value}'. Supported values are: '{only}'."
            raise Refused(
                Failure(kind="invalid", param=name, code="invalid_value", message=message)
            )
    try:
        return pictures.Size() if ask.size == "auto" else pictures.size_of(ask.size)
    except ValueError as error:
        message = f"Invalid value: '{ask.size}'. {error}"
        failure = Failure(kind="invalid", param="size", code="invalid_value", message=message)
        raise Refused(failure) from error


def _answer(ask: _Ask, chosen: Chosen, size: pictures.Size) -> bytes:
    made = ask.n
    if chosen.name == "partial":
        made = min(max(chosen.whole(ask.n - 1), 1), ask.n)
    elif chosen.name == "empty":
        made = 0
    seen = pictures.seed_of(*ask.pictures) if ask.pictures else b""
    data: list[dict[str, object]] = []
    for at in range(made):
        seed = pictures.seed_of(ask.prompt, seen, ask.seed, at)
        picture = pictures.png(size.width, size.height, seed)
        told = {} if ask.seed is None else {"seed": ask.seed}
        data.append({"b64_json": base64.b64encode(picture).decode(), **told})
    text, read = count(ask.prompt), TOKENS * len(ask.pictures)
    usage = {
        "input_tokens": text + read,
        "input_tokens_details": {"text_tokens": text, "image_tokens": read},
        "output_tokens": TOKENS * made,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": TOKENS * made},
        "total_tokens": text + read + TOKENS * made,
    }
    return orjson.dumps(
        {
            "created": int(time.time()),
            "background": "opaque",
            "data": data,
            "output_format": "png",
            "quality": "standard",
            "size": f"{size.width}x{size.height}",
            "usage": usage,
        }
    )
