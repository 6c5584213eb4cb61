"""The sandbox's speech and pictures as customers meet them: OpenAI's SDK, jobs, webhooks, costs."""

import base64
import contextlib
import io
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import openai
import pytest
import soundfile
from PIL import Image

from gateway.sandbox.media_scenarios import ASYNC_IMAGES, IMAGES, SPEECH
from tests.e2e.stack import Account, Stack
from tests.fakes.receiver import Receiver, body_of
from tests.fakes.sandbox import sandbox
from tests.fakes.upstream import Upstream, closed_port
from tests.media_jobs.studio import ENVIRONMENT, wait_for_job, working

TEXT = "one two three four"
# In place of the waits that a test has no time for, and beside them.
SPOKEN = {name: each.told for name, each in SPEECH.items() if name != "speech-slow"} | {
    "speech-slow:1": "200",
    "speech-stall:1": "200",
    "speech-server-error:503": "503 upstream_overloaded",
    "speech-rate-limited:60": "429 upstream_rate_limited",
    "speech-cut-midstream:2": "502 upstream_error (cut)",
    "speech:1": "404 model_not_found",  # it takes no number
}
PAINTED = {
    name: each.told for name, each in IMAGES.items() if name not in ("image-slow", "image-stall")
} | {"image-slow:1": "200", "image-stall:1": "200", "image-partial:1": "200"}
ORDERED = {
    name: each.told
    for name, each in ASYNC_IMAGES.items()
    if name not in ("image-slow", "image-late-success", "image-never-ends")
} | {
    "image-slow:1": "200",
    "image-late-success:1": "200",
    "image-never-ends:1": "504 upstream_timeout",
    "image-failed:0": "502 upstream_error",
    "image-content-filter:0": "400 invalid_parameter",
}
PROVIDERS = ("sandbox", "sandbox-async")
UNTIRING = "speech-stall"  # whole, it is waited for two minutes


class Shop(msgspec.Struct, frozen=True):
    """A product with the seed catalog, its worker, the sandbox, and a customer with a receiver."""

    stack: Stack
    account: Account
    receiver: Receiver
    openai: openai.OpenAI

    def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx2.Response:
        with self.stack.http(self.account) as client:
            return client.post(path, json=body, headers=headers)

    def get(self, path: str) -> Any:  # noqa: ANN401 — JSON
        with self.stack.http(self.account) as client:
            return client.get(path).json()

    def speak(self, name: str, **more: object) -> httpx2.Response:
        body = {"model": f"sandbox/{name}"} if name else {}
        return self.post("/v1/audio/speech", {**body, "input": TEXT, "voice": "alloy", **more})

    def painted(self, body: dict[str, Any]) -> bytes:
        """The one picture of an order that is waited for."""
        answer = self.post("/v1/images/generate", body)
        assert answer.status_code in (200, 202), answer.text
        told = self.end_of(answer.json()["id"])
        with self.stack.http(self.account) as client:
            return client.get(told["data"][0]["url"]).content

    def order(self, model: str, n: int = 1, **more: object) -> dict[str, Any]:
        body = {"model": model, "contents": [{"text": TEXT}], "parameters": {"num_images": n}}
        answer = self.post("/v1/images/generate", body | more, prefer="respond-async")
        assert answer.status_code == 202, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def end_of(self, job: str, timeout_s: float = 30.0) -> dict[str, Any]:
        until = time.monotonic() + timeout_s
        while (told := self.get(f"/v1/images/jobs/{job}"))["status"] in ("pending", "processing"):
            assert time.monotonic() < until, f"still {told}"
            time.sleep(0.1)
        found: dict[str, Any] = told
        return found


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with (
        sandbox() as url,
        Upstream() as upstream,
        closed_port() as dead,
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Receiver()) as receiver,
    ):
        environment = {
            **ENVIRONMENT,
            "CCAPI_QUEUE": f"jobs-sandbox-{os.getpid()}",
            "CCAPI_ARTEFACT_DIR": str(Path(folder) / "artefacts"),
            "CCAPI_EGRESS_ALLOW": receiver.host,  # and not the sandbox
            "CCAPI_WEBHOOK_SCHEDULE_S": "0,0.2,1",
        }
        stack = Stack(upstream, dead, accounts={"1.00": 3}, name="sandbox", environment=environment)
        try:
            stack.seed(url)
            stack.web()
            account = stack.account()
            with working(stack), stack.openai(account) as client:
                yield Shop(stack, account, receiver, client)
                stack.wait_for_no_holds(30)
            stack.audit()
        finally:
            stack.close()


def hears(shop: Shop, name: str) -> str:
    """What comes of sound that is sent as it comes: 200 where it plays, an error, or `cut`."""
    try:
        answer = shop.openai.audio.speech.create(model=f"sandbox/{name}", voice="alloy", input=TEXT)
    except openai.APIStatusError as error:
        return f"{error.status_code} {error.code or ''}".strip()
    except (openai.APIConnectionError, httpx2.RemoteProtocolError):
        return "cut"
    assert soundfile.info(io.BytesIO(answer.content)).format == "MP3"
    return "200"


def hears_whole(shop: Shop, name: str) -> str:
    answer = shop.speak(name, response_format="b64_json")
    code = answer.json().get("error", {}).get("code") or ""
    return f"{answer.status_code} {code}".strip()


def sees(shop: Shop, name: str, provider: str = "sandbox") -> str:
    try:
        shop.openai.images.generate(model=f"{provider}/{name}", prompt=TEXT, n=2)
    except openai.APIStatusError as error:
        return f"{error.status_code} {error.code or ''}".strip()
    return "200"


@pytest.fixture(scope="module")
def got(shop: Shop) -> dict[tuple[str, str], str]:
    """What OpenAI's SDK gets of every model, all of them at once."""
    asked: dict[tuple[str, str], Callable[[], str]] = {}
    for name in SPOKEN:
        asked["streamed", name] = partial(hears, shop, name)
        if name != UNTIRING:
            asked["whole", name] = partial(hears_whole, shop, name)
    asked |= {("image", name): partial(sees, shop, name) for name in PAINTED}
    asked |= {("async", name): partial(sees, shop, name, "sandbox-async") for name in ORDERED}
    with ThreadPoolExecutor(20) as pool:
        return dict(zip(asked, pool.map(lambda ask: ask(), asked.values()), strict=True))


@pytest.mark.parametrize("name", SPOKEN)
def test_speech_gets_the_sdk_what_the_page_says(got: dict[tuple[str, str], str], name: str) -> None:
    whole, _, streamed = SPOKEN[name].rstrip(")").partition(" (")

    assert got["streamed", name] == (streamed or whole)
    assert name == UNTIRING or got["whole", name] == whole


@pytest.mark.parametrize("name", PAINTED)
def test_pictures_get_the_sdk_what_the_page_says(
    got: dict[tuple[str, str], str], name: str
) -> None:
    assert got["image", name] == PAINTED[name]


@pytest.mark.parametrize("name", ORDERED)
def test_pictures_that_take_their_time_do_too(got: dict[tuple[str, str], str], name: str) -> None:
    assert got["async", name] == ORDERED[name]


def test_what_customers_test_costs_nothing_and_wakes_nobody(
    shop: Shop, got: dict[tuple[str, str], str]
) -> None:
    assert len(got) > 50
    shop.stack.wait_for_no_holds(10)
    costs = {
        row["model"]
        for row in shop.get("/v1/generations?limit=100")["data"]
        if Decimal(row["cost"])
    }
    assert costs <= {"sandbox/speech-priced", "sandbox/image-priced", "sandbox-async/image-priced"}
    assert shop.stack.rows("SELECT 1 FROM alert WHERE subject LIKE 'sandbox%%'") == []


def test_priced_models_charge_what_they_say(shop: Shop) -> None:
    account = shop.stack.account()
    with shop.stack.openai(account) as client:
        client.audio.speech.create(model="sandbox/speech-priced", voice="alloy", input=TEXT)
        client.images.generate(model="sandbox/image-priced", prompt=TEXT, n=2)
        client.images.generate(model="sandbox-async/image-priced", prompt=TEXT, n=3)

    shop.stack.wait_for_no_holds(10)
    posted, held = shop.stack.balance(account)
    assert (10**9 - posted, held) == (len(TEXT) * 10_000 + 5 * 10_000_000, 0)


@pytest.mark.parametrize("made", ["mp3", "wav", "pcm", "flac", "opus", "ogg"])
def test_speech_is_as_long_as_its_text_in_every_format(shop: Shop, made: str) -> None:
    answer = shop.speak("speech", output_format=made, speed=2.0)

    assert answer.status_code == 200, answer.text
    seconds = len(answer.content) / 48_000
    if made != "pcm":
        seconds = soundfile.info(io.BytesIO(answer.content)).duration
    assert seconds == pytest.approx(len(TEXT) * 0.072 / 2, abs=0.03)


def test_a_format_that_nobody_makes_is_refused_with_those_that_there_are(shop: Shop) -> None:
    error = shop.speak("speech", output_format="aac").json()["error"]

    assert error["code"] == "unsupported_parameter"
    assert set(error["details"]["formats"]) == {"mp3", "wav", "pcm", "flac", "opus", "ogg"}


def test_a_list_of_models_fails_over(shop: Shop) -> None:
    spoken = shop.speak("", models=["sandbox/speech-server-error", "sandbox/speech"])
    painted = shop.post(
        "/v1/images/generations",
        {
            "models": ["sandbox/image-overloaded", "sandbox-async/image-failed:0", "sandbox/image"],
            "prompt": TEXT,
        },
    )

    failed = "sandbox/speech-server-error=500"
    assert spoken.headers["x-ccapi-attempts"] == f"{failed};{failed};sandbox/speech=200"
    # An order that failed at its provider begins the list anew, without that one.
    assert painted.headers["x-ccapi-attempts"].split(";") == [
        "sandbox/image-overloaded=503",
        "sandbox-async/image-failed=502",
        "sandbox/image-overloaded=503",
        "sandbox/image=200",
    ]


def test_fewer_pictures_than_asked_are_told_and_counted(shop: Shop) -> None:
    orders = [shop.order(f"{provider}/image-partial", n=3) for provider in PROVIDERS]

    for order in orders:
        told = shop.end_of(order["id"])
        assert (told["status"], len(told["data"]), told["usage"]["images"]) == ("completed", 2, 2)


def test_an_order_is_followed_and_its_end_is_told_to_a_webhook(shop: Shop) -> None:
    secret = shop.get("/webhooks/secret")["secret"]
    job = shop.order("sandbox-async/image-slow:2", n=2, webhook_url=shop.receiver.url)
    with (
        shop.stack.http(shop.account) as client,
        client.stream("GET", f"/v1/images/jobs/{job['id']}/events") as stream,
    ):
        lines = [line[6:] for line in stream.iter_lines() if line.startswith("data: ")]

    events = [json.loads(line) for line in lines]
    progress = [event["progress"] for event in events if event.get("progress")]
    assert progress
    assert progress == sorted(progress)
    assert (events[-1]["status"], len(events[-1]["data"])) == ("completed", 2)
    shop.receiver.wait_for(1)
    told = shop.receiver.seen[0].verified(secret)
    assert (told["id"], told["status"]) == (job["id"], "completed")
    assert told == body_of(shop.receiver.seen[0])


def test_a_cancelled_order_costs_nothing_unless_it_had_just_succeeded(shop: Shop) -> None:
    ended = {}
    for name in ("image-never-ends", "image-late-success"):
        job = shop.order(f"sandbox-async/{name}")["id"]
        wait_for_job(shop.stack, job, "started IS NOT NULL", timeout_s=20)  # the provider has it
        with shop.stack.http(shop.account) as client:
            client.delete(f"/v1/images/jobs/{job}")
        ended[name] = shop.end_of(job)

    assert ended["image-never-ends"]["status"] == "cancelled"
    assert ended["image-late-success"]["status"] == "completed"
    assert len(ended["image-late-success"]["data"]) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_pictures_are_changed_and_the_same_request_is_the_same_picture(
    shop: Shop, provider: str
) -> None:
    # Noise, which no format makes small: Replicate's driver uploads it.
    large, mask = noise(400), noise(400, 1)
    asked = {
        "model": f"{provider}/image",
        "contents": [{"text": TEXT}, {"image": {"data": large}}, {"mask": {"data": mask}}],
        "parameters": {"width": 320, "height": 200},
    }
    plain = {**asked, "contents": [{"text": TEXT}]}

    with ThreadPoolExecutor(3) as pool:
        first, again, other = pool.map(shop.painted, (asked, asked, plain))

    assert first == again != other
    for data in (first, other):
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert (image.format, image.size) == ("PNG", (320, 200))
            assert image.info["Software"] == "CCAPI sandbox"


def noise(side: int, channels: int = 3) -> str:
    """A picture in base64."""
    drawn = random.Random(7).randbytes(side * side * channels)  # noqa: S311 - any noise will do
    written = io.BytesIO()
    Image.frombytes("RGB" if channels == 3 else "L", (side, side), drawn).save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()
