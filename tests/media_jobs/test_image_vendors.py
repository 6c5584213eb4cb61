"""Orders through the whole product: web, worker, ledger, and a fake of each vendor."""

import base64
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.stack import Account, Stack
from tests.fakes.gemini_images import FORBIDDEN, GeminiImages
from tests.fakes.openai_images import OpenAIImages
from tests.fakes.receiver import Receiver
from tests.fakes.replicate import Plan, Replicate
from tests.fakes.steps import reply
from tests.fakes.upstream import Upstream, closed_port
from tests.fakes.vendors import Vendor, answer, opened, png
from tests.media_jobs.atelier import Atelier
from tests.media_jobs.drivers.targets import mask, picture
from tests.media_jobs.studio import ENVIRONMENT, Studio

GPT, FLASH, FLUX, FILL = (
    "openai/gpt-image-1.5",
    "gemini/gemini-2.5-flash-image",
    "replicate/flux-schnell",
    "replicate/flux-fill-dev",
)
UPSTREAM = {
    GPT: "gpt-image-1.5",
    FLASH: "gemini-2.5-flash-image",
    FLUX: "black-forest-labs/flux-schnell",
    FILL: "black-forest-labs/flux-fill-dev",
}


class House(NamedTuple):
    studio: Studio
    openai: OpenAIImages
    gemini: GeminiImages
    replicate: Replicate

    def post(self, account: Account, path: str, body: Any, **headers: str) -> Any:  # noqa: ANN401
        with self.studio.stack.http(account) as client:
            return client.post(path, json=body, headers=headers)

    def picture(self, account: Account, datum: dict[str, Any]) -> Any:  # noqa: ANN401
        if "b64_json" in datum:
            return opened(base64.b64decode(datum["b64_json"]))
        with self.studio.stack.http(account) as client:
            return opened(client.get(datum["url"]).content)


def catalog(vendors: dict[str, Vendor]) -> dict[str, Any]:
    times = {"connect": 1, "first_byte": 10, "first_byte_with_alternative": 5, "idle": 10}
    return {
        "providers": [
            {
                "name": name,
                "display_name": name.title(),
                "protocol": name,
                "base_url": vendor.base_url,
                "api_key": vendor.key,
                "enabled": True,
                "timeouts": {**times, "total": 10},
            }
            for name, vendor in vendors.items()
        ],
        "models": [
            {
                "id": model,
                "upstream_model": upstream,
                "type": "image",
                "display_name": model,
                "context_length": 0,
                "max_output_tokens": 0,
                "capabilities": [],
                "input_modalities": ["text", "image"],
                "output_modalities": ["image"],
                "prices": {"image": "0.01"},
            }
            for model, upstream in UPSTREAM.items()
        ],
    }


@pytest.fixture(scope="module")
def open_house() -> Iterator[House]:
    with contextlib.ExitStack() as stacked:
        openai = stacked.enter_context(OpenAIImages())
        gemini = stacked.enter_context(GeminiImages())
        replicate = stacked.enter_context(Replicate())
        upstream = stacked.enter_context(Upstream())
        dead = stacked.enter_context(closed_port())
        folder = Path(stacked.enter_context(tempfile.TemporaryDirectory()))
        (folder / "marks").mkdir()
        atelier = stacked.enter_context(contextlib.closing(Atelier()))
        environment = {
            **ENVIRONMENT,
            "CCAPI_QUEUE": f"jobs-vendors-{os.getpid()}",
            "CCAPI_ARTEFACT_DIR": str(folder / "artefacts"),
            "CCAPI_TEST_MARKS": str(folder / "marks"),
        }
        vendors = {"openai": openai, "gemini": gemini, "replicate": replicate}
        stack = stacked.enter_context(
            contextlib.closing(
                Stack(
                    upstream,
                    dead,
                    accounts={"1.00": 12},
                    name="vendors",
                    environment=environment,
                    catalog=catalog(vendors),
                )
            )
        )
        receiver = stacked.enter_context(contextlib.closing(Receiver()))
        studio = Studio(stack, atelier, receiver, folder / "marks")
        stacked.enter_context(contextlib.closing(studio))
        stack.web()
        studio.beat()
        studio.worker(CCAPI_PUBLIC_URL=stack.webs[0].url, CCAPI_JOB_UNHEARD_S="3")
        yield House(studio, openai, gemini, replicate)
        stack.wait_for_no_holds()
        stack.audit()


@pytest.fixture
def house(open_house: House) -> House:
    for vendor in (open_house.openai, open_house.gemini, open_house.replicate):
        vendor.reset()
    return open_house


@pytest.fixture
def account(house: House) -> Account:
    return house.studio.stack.account()


def test_openais_sdk_orders_at_openai_and_reads_base64_unasked(
    house: House, account: Account
) -> None:
    client = house.studio.stack.openai(account)

    made = client.images.generate(model=GPT, prompt="a hare", n=2, size="1024x1536", quality="low")

    assert made.data is not None
    pictures = [opened(base64.b64decode(each.b64_json or "")) for each in made.data]
    assert [each.size for each in pictures] == [(1024, 1536)] * 2
    assert house.studio.charged(account) == 2


@pytest.mark.parametrize("model", [GPT, FLASH, FLUX])
def test_one_order_is_told_alike_by_every_vendor(
    house: House, account: Account, model: str
) -> None:
    told = house.post(
        account, "/v1/images/generations", {"model": model, "prompt": "a hare", "size": "auto"}
    )

    assert told.status_code == 200, told.text
    assert told.json()["model"] == model
    assert house.picture(account, told.json()["data"][0]).size == (1024, 1024)
    assert house.studio.charged(account) == 1


def test_inpainting_at_two_vendors_means_the_same(house: House, account: Account) -> None:
    def inline(data: bytes) -> dict[str, str]:
        return {"data": base64.b64encode(data).decode(), "mime_type": "image/png"}

    contents = [
        {"text": "a hat"},
        {"image": inline(picture(64, 48).data)},
        {"mask": inline(mask(64, 48).data)},
    ]
    first = house.post(account, "/v1/images/generate", {"model": GPT, "contents": contents})
    second = house.post(
        account, "/v1/images/generate", {"model": FILL, "contents": contents}, prefer="wait=10"
    )

    assert first.status_code == 200, first.text
    assert second.status_code == 200, second.text
    assert second.json()["execution"]["operation"] == "inpainting"
    alpha = opened(house.openai.edits[-1][1].data).getchannel("A")
    [order] = [each for each in house.replicate.requests if each.path.endswith("/predictions")]
    painted = opened(base64.b64decode(order.json()["input"]["mask"].partition(",")[2]))
    assert (alpha.getpixel((5, 5)), painted.getpixel((5, 5))) == (0, 255)


def test_an_order_moves_on_to_a_vendor_that_can_do_it(house: House, account: Account) -> None:
    house.gemini.next(answer(503, {"error": {"code": 503, "status": "UNAVAILABLE"}}))
    body = {
        "models": [GPT, FLASH, FLUX],
        "contents": [{"text": "a hare"}],
        "parameters": {"aspect_ratio": "16:9"},  # not for the first one
    }

    told = house.post(account, "/v1/images/generate", body, prefer="wait=10")

    assert told.status_code == 200, told.text
    assert told.json()["execution"]["provider"] == "replicate"
    assert house.openai.count() == 0
    assert f"{FLASH}=503" in told.headers["x-ccapi-attempts"]


def test_a_prompt_that_the_policy_refuses_is_a_400_and_costs_nothing(
    house: House, account: Account
) -> None:
    told = house.post(
        account, "/v1/images/generations", {"model": FLASH, "prompt": f"a {FORBIDDEN} hare"}
    )

    assert told.status_code == 400
    assert "policy" in told.json()["error"]["message"]
    assert house.studio.charged(account) == 0


def test_a_parameter_that_nobody_has_is_refused_by_name(house: House, account: Account) -> None:
    told = house.post(
        account,
        "/v1/images/generate",
        {"model": GPT, "contents": [{"text": "a"}], "parameters": {"guidance_scale": 7}},
    )

    error = told.json()["error"]
    assert (told.status_code, error["code"]) == (400, "unsupported_parameter")
    assert error["param"].endswith("guidance_scale")


def test_a_prediction_that_fails_gives_the_hold_back(house: House, account: Account) -> None:
    house.replicate.plan(Plan(end="failed", error="NSFW content detected"))

    told = house.post(account, "/v1/images/generations", {"model": FLUX, "prompt": "a hare"})

    assert told.status_code == 400, told.text
    assert house.studio.charged(account) == 0


def test_an_order_that_was_taken_but_not_answered_is_heard_of_and_served(
    house: House, account: Account
) -> None:
    house.replicate.plan(Plan(seconds=0.5, hangs_up=True))
    body = {"models": [FLUX, GPT], "contents": [{"text": "a hare"}]}

    told = house.post(account, "/v1/images/generate", body, prefer="wait=10")

    assert told.status_code == 200, told.text
    assert told.json()["execution"]["provider"] == "replicate"
    assert told.headers["x-ccapi-attempts"] == f"{FLUX}=200"
    assert house.openai.count() == 0
    assert house.studio.charged(account) == 1


def test_an_order_that_nobody_tells_of_is_anothers_after_a_while(
    house: House, account: Account
) -> None:
    house.replicate.plan(Plan(seconds=float("inf"), hangs_up=True))
    body = {"models": [FLUX, GPT], "contents": [{"text": "a hare"}]}

    order = house.post(account, "/v1/images/generate", body, prefer="respond-async")
    time.sleep(1.5)
    meanwhile = house.studio.job(account, order.json()["id"])
    held = house.studio.stack.balance(account)[1]
    ended = house.studio.end_of(account, order.json()["id"])

    assert meanwhile["status"] == "processing"
    assert held > 0  # its outcome is not known
    assert (ended["status"], ended["execution"]["provider"]) == ("completed", "openai")
    assert house.studio.charged(account) == 1


def test_an_image_by_url_is_fetched_through_the_guard(house: House, account: Account) -> None:
    house.openai.next(reply(200, png(20, 10)), at="/private.png")
    body = {
        "model": GPT,
        "contents": [{"text": "a"}, {"image": {"url": house.openai.url + "/private.png"}}],
    }

    told = house.post(account, "/v1/images/generate", body)

    assert told.status_code == 400
    assert told.json()["error"]["param"] == "contents[1].image.url"
    assert house.openai.count() == 0
