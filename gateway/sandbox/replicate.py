"""Replicate's HTTP API, said by the sandbox: predictions are created, asked after and cancelled.

What they are and how they stand is `predictions`. Inputs are those of its usual image models. An
uploaded file is looked at and forgotten; a prediction does not tell its input again. Nobody is
called back: who gives a `webhook` has to ask all the same.

Sources: https://replicate.com/docs/reference/http,
https://replicate.com/docs/topics/predictions/lifecycle
"""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import orjson

from gateway.sandbox import pictures, predictions
from gateway.sandbox.delivery import body_steps
from gateway.sandbox.failures import Failure, Kind, Refused, parsed
from gateway.sandbox.forms import parts
from gateway.sandbox.predictions import Standing, Work
from gateway.sandbox.refusing import refuse_if_chosen
from gateway.sandbox.scenarios import SECONDS_MAX, Chosen
from gateway.sandbox.service import Asked, Reply, whole

OWNER = "ccapi-sandbox"
_CREATE = re.compile(rf"/v1/models/{OWNER}/([\w.-]{{1,64}})/predictions")
_ONE = re.compile(r"/v1/predictions/([\w-]{1,200})(/cancel)?")
_PICTURE = re.compile(r"/delivery/([\w-]{1,200})/out-(\d)\.png")
_FILES = "/v1/files"
_CANCEL_AFTER = re.compile(r"(\d{1,6})(s|m|h)?")
_UNITS = {"s": 1, "m": 60, "h": 3600}

# kind: status, title, detail
_ERRORS: dict[Kind, tuple[int, str, str]] = {
    "invalid": (422, "Input validation failed", "- input: it is not as its schema says\n"),
    "invalid_json": (400, "Bad request", "The body is no JSON object."),
    "too_large": (413, "Payload too large", "The body is too large."),
    "invalid_key": (
        401,
        "Unauthenticated",
        "You did not pass a valid authentication token",
    ),
    "not_found": (404, "Not found", "The requested resource could not be found."),
    "no_route": (404, "Not found", "The requested resource could not be found."),
    "rate_limited": (
        429,
        "Too many requests",
        "Request was throttled. Your rate limit resets in ~{seconds}s.",
    ),
    "server": (500, "Internal server error", "An unexpected error occurred."),
    "overloaded": (503, "Service unavailable", "The service is temporarily unavailable."),
}
_FAILED = {
    "failed": "CUDA out of memory. Tried to allocate 2.00 GiB",
    "content-filter": "NSFW content detected. Try running it again, or try a different prompt.",
}


class _Input(msgspec.Struct):
    prompt: Annotated[str, msgspec.Meta(min_length=1)]
    num_outputs: Annotated[int, msgspec.Meta(ge=1, le=predictions.COUNT_MAX)] = 1
    width: predictions.Side = pictures.SIDE_USUAL
    height: predictions.Side = pictures.SIDE_USUAL
    seed: int | None = None
    image: str = ""
    mask: str = ""


class _Order(msgspec.Struct):
    input: _Input


_decode = msgspec.json.Decoder(_Order).decode


class Replicate:
    """See `service.Service`."""

    request_id_header = "x-request-id"

    def knows(self, method: str, path: str) -> bool:
        if method == "POST":
            one = _ONE.fullmatch(path)
            return bool(path == _FILES or _CREATE.fullmatch(path) or (one and one[2]))
        one = _ONE.fullmatch(path)
        return method == "GET" and bool(_PICTURE.fullmatch(path) or (one and not one[2]))

    def answer(self, asked: Asked) -> Reply:
        if asked.path == _FILES:
            return _file(asked)
        if created := _CREATE.fullmatch(asked.path):
            return _create(asked, created[1])
        if shown := _PICTURE.fullmatch(asked.path):
            return _picture(shown[1], int(shown[2]))
        one = _ONE.fullmatch(asked.path)
        if one is None:
            raise Refused(Failure(kind="no_route"))
        now = time.time()
        work, chosen = _found(one[1])
        if one[2]:
            predictions.give_up(one[1], now=now)
        return whole(_told(asked, one[1], work, chosen, now=now))

    def failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:  # noqa: ARG002 - a service's signature
        status, title, detail = _ERRORS.get(failure.kind, _ERRORS["server"])
        status = failure.status or status
        told: dict[str, object] = {
            "title": title,
            "detail": failure.message or detail.format_map(failure.facts),
            "status": status,
        }
        if failure.retry_after is not None:
            told["retry_after"] = failure.retry_after
        return status, orjson.dumps(told)


def _create(asked: Asked, model: str) -> Reply:
    chosen = predictions.chosen_of(model)
    if chosen is None:
        raise Refused(Failure(kind="not_found"))
    refuse_if_chosen(chosen, model)
    told = _input(asked.body)
    now = time.time()
    key = predictions.order(
        model,
        now=now,
        gives_up_s=_gives_up_s(asked),
        count=told.num_outputs,
        size=pictures.Size(told.width, told.height),
        seed=pictures.seed_of(told.prompt, told.seed, told.image, told.mask),
    )
    work, chosen = _found(key)
    body = _told(asked, key, work, chosen, now=now)
    length, steps = body_steps(chosen, body, error=bytes)
    return Reply(steps, length, status=201)


def _input(body: bytes) -> _Input:
    return parsed(_decode, body, invalid="- input: {error}\n").input


def _gives_up_s(asked: Asked) -> float:
    found = _CANCEL_AFTER.fullmatch(asked.headers.get("cancel-after", ""))
    return float(int(found[1]) * _UNITS[found[2] or "s"]) if found else SECONDS_MAX


def _found(key: str) -> tuple[Work, Chosen]:
    found = predictions.found(key)
    if found is None:
        raise Refused(Failure(kind="not_found"))
    return found


def _picture(key: str, at: int) -> Reply:
    work, chosen = _found(key)
    is_there = predictions.standing(key, work, chosen, now=time.time()).status == "succeeded"
    if not is_there or at >= predictions.made(work, chosen):
        raise Refused(Failure(kind="not_found"))
    return whole(predictions.picture(work, at), media_type=b"image/png")


def _file(asked: Asked) -> Reply:
    try:
        files = [
            part
            for part in parts(asked.headers.get("content-type", ""), asked.body)
            if part.name == "content"
        ]
        (file,) = files
    except ValueError as error:
        raise Refused(Failure(kind="invalid", status=400, message="Missing content")) from error
    key = pictures.seed_of(file.data).hex()
    link = f"{_root(asked)}{_FILES}/{key}"
    told = {"id": key, "size": len(file.data), "urls": {"get": link}}
    return whole(orjson.dumps(told), status=201)


def _told(asked: Asked, key: str, work: Work, chosen: Chosen, *, now: float) -> bytes:
    """A prediction as it stands."""
    standing = predictions.standing(key, work, chosen, now=now)
    root = _root(asked)
    link = f"{root}/v1/predictions/{key}"
    output = None
    if standing.status == "succeeded":
        made = range(predictions.made(work, chosen))
        output = [f"{root}/delivery/{key}/out-{at}.png" for at in made]
    told: dict[str, object] = {
        "id": key,
        "model": f"{OWNER}/{work.model}",
        "version": "hidden",
        "input": {},
        "logs": "".join(_logs(standing)),
        "output": output,
        "error": _FAILED[chosen.name] if standing.status == "failed" else None,
        "data_removed": False,
        "source": "api",
        "status": standing.status,
        "created_at": _written(work.began),
        "urls": {"get": link, "cancel": f"{link}/cancel"},
    }
    if standing.ended is not None:
        seconds = round(standing.ended - work.began, 3)
        told["completed_at"] = _written(standing.ended)
        told["metrics"] = {"predict_time": seconds, "total_time": seconds}
    return orjson.dumps(told)


def _logs(standing: Standing) -> Iterator[str]:
    """As the models' own progress bars write them."""
    if standing.progress:
        yield f"{standing.progress:4.0%}|{'#' * int(10 * standing.progress):10}|\n"


def _root(asked: Asked) -> str:
    """Where whoever asks has found us."""
    return f"http://{asked.headers.get('host', 'localhost')}"


def _written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
