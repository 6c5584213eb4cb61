"""Replicate: an order (a prediction) is created, asked after, given up; or it tells us by webhook.

Official models are called by `owner/name`, all others by `owner/name:version`. Pictures go in as
data URLs where they are small, else through Replicate's file store; they come out as links, which
live for an hour. Answers are never waited for (`Prefer: wait` is not sent): the job asks again. A
prediction that nobody asks after any more ends by its own deadline (`Cancel-After`).

Sources: https://replicate.com/docs/reference/http,
https://replicate.com/docs/topics/predictions/lifecycle,
https://replicate.com/docs/topics/webhooks/verify-webhook (read 2026-11-22)
"""

import base64
import re
from collections.abc import Mapping

import msgspec
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from ccapi.core.usage import Usage
from gateway.protocols.base import FailureKind, UpstreamFailure
from gateway.protocols.shared import raws
from gateway.protocols.shared.retry import RETRY_AFTER_S_MAX, retry_after
from media_jobs import pictures
from media_jobs.drivers import (
    conversion,
    deliveries,
    http,
    replicate_inputs,
    replicate_models,
    shapes,
)
from media_jobs.drivers.base import DriverFailed, Target
from media_jobs.types import Delivered, ImageRequest, Pending, Picture, Started

AUTH = "bearer"
DATA_URL_BYTES_MAX = 256 * 1024  # Replicate's word: larger ones by URL
CANCEL_AFTER_S_MIN = 5  # Replicate's
LOGS_LOOKED_AT = 4000  # characters, of the end
MESSAGE_MAX = 500  # characters of a model's own words

_WORKING = frozenset({"starting", "processing"})
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?)%")
_MODEL = re.compile(r"[\w.-]+/[\w.-]+(?::[0-9a-f]{16,64})?")
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_POLICY = re.compile(
    r"nsfw|safety (?:checker|filter)|flagged|sensitive|content polic|moderat|prohibited"
    r"|copyright|\(E005\)",
    re.IGNORECASE,
)
_KINDS: dict[int, FailureKind] = {
    401: "auth",
    402: "credit",
    403: "auth",
    404: "not_found",
    409: "conflict",
    413: "too_large",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
}


class Urls(msgspec.Struct):
    get: str = ""
    cancel: str = ""


class Prediction(msgspec.Struct):
    id: str
    status: str
    output: raws.Raw = raws.Raw()
    error: str | dict[str, raws.Raw] | None = None
    logs: str | None = None
    urls: Urls | None = None
    metrics: raws.Raw = raws.Raw()
    data_removed: bool | None = None


class _File(msgspec.Struct):
    urls: Urls


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""
    retry_after: float | None = None


class BadNotice(Exception):
    """A webhook that is not Replicate's, or not for now."""


_decode_prediction = msgspec.json.Decoder(Prediction).decode
_decode_file = msgspec.json.Decoder(_File).decode
_decode_problem = msgspec.json.Decoder(_Problem, strict=False).decode
_decode_output = msgspec.json.Decoder(str | list[str | None] | None).decode


class Replicate:
    """See `drivers.base.Driver`."""

    name = "replicate"
    is_async = True

    def check(self, request: ImageRequest, target: Target) -> tuple[str, ...]:
        return replicate_inputs.check(request, replicate_models.of(target.upstream_model))

    def variant(self, request: ImageRequest, target: Target) -> tuple[str, str]:
        del target
        return shapes.size_of(request), ""

    async def start(
        self, request: ImageRequest, target: Target, *, reference: str, notify_url: str = ""
    ) -> Delivered | Started:
        del reference  # Replicate takes no key of ours
        self.check(request, target)
        inputs = replicate_models.of(target.upstream_model)
        is_spelled = replicate_inputs.spelled(request.output_format, inputs)
        started = Started(
            upstream_id="",
            estimated_s=inputs.seconds,
            count=request.count,
            output_format="" if is_spelled else request.output_format,
        )
        try:
            prediction = await self._ordered(request, target, notify_url)
        except DriverFailed as error:
            # Where it may tell us of the work, we shall hear whether it took it.
            error.unheard = started if error.is_unknown and notify_url else None
            raise
        urls = prediction.urls or Urls()
        return msgspec.structs.replace(
            started, upstream_id=prediction.id, poll_url=urls.get, cancel_url=urls.cancel
        )

    async def _ordered(self, request: ImageRequest, target: Target, notify_url: str) -> Prediction:
        inputs = replicate_models.of(target.upstream_model)
        told = replicate_inputs.said(request, inputs)
        told |= await _pictures(request, inputs, target)
        path, body = _order(target.upstream_model, told)
        if notify_url:
            body["webhook"] = notify_url
            body["webhook_events_filter"] = ["completed"]
        seconds = max(CANCEL_AFTER_S_MIN, int(target.provider.timeouts.total))
        answer = await http.call(
            target,
            "POST",
            path,
            default_auth=AUTH,
            json=body,
            headers={"cancel-after": f"{seconds}s"},
        )
        if not answer.is_success:
            raise DriverFailed(understood(answer))
        return _prediction(answer, is_unknown=True)

    async def poll(self, started: Started, target: Target) -> Delivered | Pending:
        # By the id and not by the link that we were given: our key goes to the provider's address.
        answer = await http.call(
            target, "GET", f"/predictions/{_id(started)}", default_auth=AUTH, seconds=30.0
        )
        if not answer.is_success:
            failure = understood(answer)
            # Gone is gone; anything else says nothing of the work.
            raise DriverFailed(failure, is_unknown=answer.status != 404)
        prediction = _prediction(answer, is_unknown=True)
        if prediction.status in _WORKING:
            return Pending(progress=progress_of(prediction))
        if prediction.status == "succeeded":
            return await _delivered(prediction, started, target)
        raise _ended(prediction)

    async def cancel(self, started: Started, target: Target) -> None:
        answer = await http.call(
            target, "POST", f"/predictions/{_id(started)}/cancel", default_auth=AUTH, seconds=30.0
        )
        if not answer.is_success:
            raise DriverFailed(understood(answer), is_unknown=answer.status != 404)


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> Prediction:
    """A webhook of Replicate's (Standard Webhooks, the account's secret): what it tells.

    `headers` has lower-case names. Raises: BadNotice.
    """
    try:
        Webhook(secret).verify(body, dict(headers))
        return _decode_prediction(body)
    except (WebhookVerificationError, msgspec.DecodeError, ValueError) as error:
        raise BadNotice(str(error)) from error


def noticed(body: bytes) -> str:
    """The id of the work that a webhook tells of; "" where it tells none."""
    try:
        found = _decode_prediction(body).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return found if _ID.fullmatch(found) else ""


def progress_of(prediction: Prediction) -> float | None:
    """0 to 1, by the last percentage in the model's logs."""
    told = _PERCENT.findall((prediction.logs or "")[-LOGS_LOOKED_AT:])
    return min(1.0, float(told[-1]) / 100) if told else None


def understood(answer: http.Answer) -> UpstreamFailure:
    """An error answer: `{"title", "detail", "status"}`, with `retry_after` where it is a 429."""
    try:
        problem = _decode_problem(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = _Problem()  # the page of something on the way
    wait = problem.retry_after if problem.retry_after is not None else retry_after(answer.headers)
    message = problem.detail or problem.title or "It gave no reason."
    return UpstreamFailure(
        kind=_kind(answer.status, problem),
        status=answer.status,
        message=message[:MESSAGE_MAX],
        code=problem.title,
        request_id=answer.headers.get("x-request-id", ""),
        retry_after=None if wait is None else min(max(wait, 0.0), RETRY_AFTER_S_MAX),
    )


def _kind(status: int, problem: _Problem) -> FailureKind:
    if status == 422 and "version" in problem.title.lower():
        return "not_found"  # "Invalid version or not permitted"
    if status in (400, 422) and _POLICY.search(problem.detail):
        return "content_refused"
    fallback: FailureKind = "invalid" if 400 <= status < 500 else "server"
    return _KINDS.get(status, fallback)


def _order(model: str, told: dict[str, object]) -> tuple[str, dict[str, object]]:
    if not _MODEL.fullmatch(model):
        raise http.failed("not_found", "The model's name at the provider is malformed.")
    if ":" in model:
        return "/predictions", {"version": model, "input": told}
    return f"/models/{model}/predictions", {"input": told}


def _id(started: Started) -> str:
    if not _ID.fullmatch(started.upstream_id):
        raise http.failed("server", "The provider's id of the work is malformed.")
    return started.upstream_id


def _prediction(answer: http.Answer, *, is_unknown: bool) -> Prediction:
    """Raises: DriverFailed. What was ordered with an answer that nobody understands may be made."""
    try:
        return _decode_prediction(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        failure = http.garbled(answer)
        failure.is_unknown = is_unknown
        raise failure from error


async def _pictures(
    request: ImageRequest, inputs: replicate_models.Inputs, target: Target
) -> dict[str, object]:
    told: dict[str, object] = {}
    places = [await _placed(image, target) for image in request.images]
    if places:
        told[inputs.image] = places if inputs.images_max > 1 else places[0]
    if request.mask is not None:
        mask = await conversion.painted_mask(request.mask, inputs.mask_changes)
        told[inputs.mask] = await _placed(mask, target)
    return told


async def _placed(picture: Picture, target: Target) -> str:
    """Where Replicate finds the picture: in a data URL, or in its own file store."""
    if len(picture.data) <= DATA_URL_BYTES_MAX:
        return f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode()}"
    name = f"input.{pictures.extension(picture.media_type)}"
    try:
        answer = await http.call(
            target,
            "POST",
            "/files",
            default_auth=AUTH,
            files=[("content", (name, picture.data, picture.media_type))],
        )
    except DriverFailed as failure:
        failure.is_unknown = False  # a file is no order
        raise
    if not answer.is_success:
        raise DriverFailed(understood(answer))
    try:
        return _decode_file(answer.body).urls.get
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise http.garbled(answer) from error


async def _delivered(prediction: Prediction, started: Started, target: Target) -> Delivered:
    try:
        output = _decode_output(prediction.output) if raws.is_set(prediction.output) else None
    except msgspec.DecodeError as error:
        raise http.failed("server", "The model's output is no picture.", code="no_image") from error
    links = [output] if isinstance(output, str) else [link for link in output or () if link]
    if not links:
        raise http.failed("server", "The model's output is gone or empty.", code="no_image")
    inline = [link for link in links if link.startswith("data:")]
    parts = [deliveries.Part(link.partition(",")[2]) for link in inline[: started.count]]
    others = [link for link in links if not link.startswith("data:")][: started.count]
    found = await http.results(target, others) if others else []
    parts += [deliveries.Part(data) for data in found if data is not None]
    return await deliveries.delivered(
        deliveries.made(parts),
        Usage(raw=prediction.metrics.copy()),
        count=started.count,
        output_format=started.output_format,
        request_id=prediction.id,
    )


def _ended(prediction: Prediction) -> DriverFailed:
    """It failed, or was given up: by us, or by its deadline."""
    if prediction.status == "canceled":
        return http.failed("timeout", "The provider has given the work up.", code="canceled")
    if prediction.status == "aborted":
        return http.failed("timeout", "The provider did not begin in time.", code="aborted")
    told = prediction.error if isinstance(prediction.error, str) else ""
    if prediction.status != "failed":
        told = f"unknown state {prediction.status[:32]!r}"
    kind: FailureKind = "content_refused" if _POLICY.search(told) else "server"
    message = f"The model failed: {told[:MESSAGE_MAX] or 'no reason told'}"
    return http.failed(kind, message, code="failed")
