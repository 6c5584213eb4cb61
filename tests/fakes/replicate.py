"""A fake of Replicate: predictions that take their time, and end as they were told to.

`plan` says how the next predictions go: how long, which end, how many pictures, whether giving
them up works. A webhook is sent at the end, signed as Replicate signs. Inputs are checked against
the models' schemas, of which it knows a few. Source: https://replicate.com/docs/reference/http
"""

import asyncio
import contextlib
import http.client
import re
import time
import uuid
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from standardwebhooks import Webhook

from tests.fakes.openai_images import form
from tests.fakes.steps import CLOSE, Script, reply
from tests.fakes.upstream import Recorded
from tests.fakes.vendors import Refused, Vendor, answer, png

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the fake's, of no value
End = Literal["succeeded", "failed", "canceled", "aborted"]

_CREATE = re.compile(r"/v1/models/([\w.-]+/[\w.-]+)/predictions")
_ONE = re.compile(r"/v1/predictions/(\w+)(/cancel)?")
_VERSION = re.compile(r"([\w.-]+/[\w.-]+):[0-9a-f]{64}")
_FLUX = {
    "prompt",
    "aspect_ratio",
    "num_outputs",
    "num_inference_steps",
    "seed",
    "output_format",
    "output_quality",
    "disable_safety_checker",
    "go_fast",
    "megapixels",
}
_SCHEMAS: dict[str, set[str]] = {
    "black-forest-labs/flux-schnell": _FLUX,
    "black-forest-labs/flux-dev": _FLUX | {"image", "prompt_strength", "guidance"},
    "black-forest-labs/flux-fill-dev": _FLUX - {"aspect_ratio", "go_fast"}
    | {"image", "mask", "guidance"},
    "stability-ai/sdxl": {
        "prompt",
        "negative_prompt",
        "image",
        "mask",
        "width",
        "height",
        "num_outputs",
        "scheduler",
        "num_inference_steps",
        "guidance_scale",
        "prompt_strength",
        "seed",
        "refine",
        "apply_watermark",
    },
    "google/nano-banana": {"prompt", "image_input", "aspect_ratio", "output_format"},
}
_ENDED = ("succeeded", "failed", "canceled", "aborted")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a prediction goes."""

    seconds: float = 0.05  # `inf`: it never ends by itself
    end: End = "succeeded"
    error: str = "CUDA out of memory"
    pictures: int | None = None  # None: as many as were asked for
    ignores_cancel: bool = False
    webhook_times: int = 1  # how often its end is told
    hangs_up: bool = False  # on the order, which it has taken
    output_host: str = ""  # where pictures are, if not here


class Replicate(Vendor):
    def __init__(self, *, key: str = "r8_replicate-fake-1") -> None:
        super().__init__(key=key)
        self.predictions: dict[str, dict[str, Any]] = {}
        self.told: list[int] = []  # how webhooks were answered; 0: not at all
        self.files: dict[str, bytes] = {}
        self._plans: list[Plan] = []
        self._going: dict[str, Plan] = {}
        self._kept: dict[str, bytes] = {}

    def plan(self, *plans: Plan) -> "Replicate":
        """How the next predictions go, one each; after them, as usual."""
        self._plans += plans
        return self

    def end_now(self, prediction: str) -> None:
        """From the test's thread: it ends as planned, whatever time that would have taken."""
        self._loop.call_soon_threadsafe(self._finish, prediction)

    def serve(self, request: Recorded, path: str) -> Script:
        if path in self._kept:
            return reply(200, self._kept[path], media_type="image/png")
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise refuse(401, "Unauthenticated", "You did not pass a valid authentication token")
        created = _CREATE.fullmatch(path)
        if request.method == "POST" and (created or path == "/v1/predictions"):
            return self._create(request, created[1] if created else "")
        if request.method == "POST" and path == "/v1/files":
            return self._file(request)
        if request.method == "GET" and path == "/v1/webhooks/default/secret":
            return answer(200, {"key": SECRET})
        one = _ONE.fullmatch(path)
        if one is None or one[1] not in self.predictions:
            raise Refused(404, {"detail": "The requested resource could not be found."})
        if one[2]:
            return self._cancel(one[1])
        return answer(200, self.predictions[one[1]])

    def _create(self, request: Recorded, model: str) -> Script:
        body = msgspec.json.decode(request.body)
        known = {"input", "webhook", "webhook_events_filter", "stream"}
        _check(body, known if model else known | {"version"}, "")
        if not model:
            version = _VERSION.fullmatch(str(body.get("version")))
            if version is None:
                raise refuse(422, "Invalid version or not permitted", "No such version.")
            model = version[1]
        _check_input(model, body["input"])
        if "webhook" in body and not str(body["webhook"]).startswith(("https://", "http://127.")):
            raise refuse(422, "Input validation failed", "- webhook: must be an HTTPS URL\n")
        key = uuid.uuid4().hex[:26]
        base = f"{self.base_url}/predictions/{key}"
        self.predictions[key] = {
            "id": key,
            "model": model,
            "version": "hidden",
            "input": body["input"],
            "logs": "",
            "output": None,
            "error": None,
            "data_removed": False,
            "status": "starting",
            "created_at": _now(),
            "urls": {"get": base, "cancel": f"{base}/cancel", "web": f"{self.url}/p/{key}"},
        }
        plan = self._plans.pop(0) if self._plans else Plan()
        self._going[key] = plan
        told = CLOSE if plan.hangs_up else answer(201, self.predictions[key])
        loop = asyncio.get_running_loop()
        hook = str(body.get("webhook", ""))
        self.predictions[key]["webhook"] = hook
        if plan.end != "aborted":
            loop.call_later(min(plan.seconds, 3600.0) / 3, self._begin, key)
        if plan.seconds != float("inf"):
            loop.call_later(plan.seconds, self._finish, key)
        return told

    def _begin(self, key: str) -> None:
        prediction = self.predictions[key]
        if prediction["status"] == "starting":
            prediction["status"] = "processing"
            prediction["started_at"] = _now()
            prediction["logs"] = "Using seed: 7\n 10%|#         | 1/10\n 40%|####      | 4/10\n"

    def _finish(self, key: str) -> None:
        prediction, plan = self.predictions[key], self._going[key]
        if prediction["status"] in _ENDED:
            return
        prediction["status"] = plan.end
        prediction["completed_at"] = _now()
        prediction["metrics"] = {"predict_time": plan.seconds, "total_time": plan.seconds}
        if plan.end == "failed":
            prediction["error"] = plan.error
        elif plan.end == "succeeded":
            prediction["output"] = self._output(key, prediction, plan)
        self._tell(key)

    def _output(self, key: str, prediction: dict[str, Any], plan: Plan) -> object:
        told = prediction["input"]
        asked = int(told.get("num_outputs", 1))
        size = int(told.get("width", 1024)), int(told.get("height", 1024))
        links = []
        for shade in range(asked if plan.pictures is None else plan.pictures):
            path = f"/delivery/{key}/out-{shade}.png"
            self._kept[path] = png(*size, shade)
            links.append((plan.output_host or self.url) + path)
        single = prediction["model"] == "google/nano-banana" and len(links) == 1
        return links[0] if single else links

    def _cancel(self, key: str) -> Script:
        prediction = self.predictions[key]
        if prediction["status"] not in _ENDED and not self._going[key].ignores_cancel:
            prediction["status"] = "canceled"
            prediction["completed_at"] = _now()
            self._tell(key)
        return answer(200, prediction)

    def _file(self, request: Recorded) -> Script:
        fields, files = form(request)
        if [file.name for file in files] != ["content"] or set(fields) - {"metadata"}:
            raise refuse(400, "Missing content", "Missing content")
        key = uuid.uuid4().hex[:26]
        link = f"{self.base_url}/files/{key}"
        self.files[link] = files[0].data
        size, kind = len(files[0].data), files[0].media_type
        told = {"id": key, "size": size, "content_type": kind, "urls": {"get": link}}
        return answer(201, told)

    # -- webhooks

    def _tell(self, key: str) -> None:
        prediction = self.predictions[key]
        url = prediction["webhook"]
        if not url:
            return
        body = msgspec.json.encode(prediction)
        for _ in range(self._going[key].webhook_times):
            self._loop.run_in_executor(None, self._post, url, key, body)

    def _post(self, url: str, key: str, body: bytes) -> None:
        parts = urlsplit(url)
        headers = signed(key, body)
        status = 0
        with contextlib.suppress(OSError, http.client.HTTPException):
            link = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=5)
            link.request(
                "POST", parts.path + ("?" + parts.query if parts.query else ""), body, headers
            )
            status = link.getresponse().status
            link.close()
        self.told.append(status)


def signed(
    message_id: str, body: bytes, *, secret: str = SECRET, age_s: float = 0.0
) -> dict[str, str]:
    """The headers of a webhook of Replicate's."""
    at = datetime.fromtimestamp(time.time() - age_s, UTC)
    return {
        "content-type": "application/json",
        "webhook-id": f"msg_{message_id}",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(f"msg_{message_id}", at, body.decode()),
    }


def refuse(status: int, title: str, detail: str, **more: Any) -> Refused:  # noqa: ANN401
    """An error in Replicate's shape."""
    return Refused(status, {"title": title, "detail": detail, "status": status, **more})


def throttled(seconds: int) -> Script:
    """Its 429, as it comes to accounts with little credit."""
    detail = f"Request was throttled. Your rate limit resets in ~{seconds}s."
    return answer(429, {"detail": detail, "status": 429, "retry_after": seconds})


def out_of_credit() -> Script:
    detail = "You have insufficient credit to run this model."
    return answer(402, {"title": "Insufficient credit", "detail": detail, "status": 402})


def _check(told: dict[str, Any], known: set[str], within: str) -> None:
    for name in told:
        if name not in known:
            fields = [{"type": "extra", "field": within + name, "description": "not allowed"}]
            raise refuse(
                422,
                "Input validation failed",
                f"- {within}{name}: Additional property {name} is not allowed\n",
                invalid_fields=fields,
            )


def _check_input(model: str, told: dict[str, Any]) -> None:
    if "prompt" not in told:
        raise refuse(422, "Input validation failed", "- input: prompt is required\n")
    schema = _SCHEMAS.get(model)
    if schema is None:
        return
    _check(told, schema, "input.")
    if not 1 <= int(told.get("num_outputs", 1)) <= 4:
        raise refuse(422, "Input validation failed", "- input.num_outputs: Must be at most 4\n")


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
