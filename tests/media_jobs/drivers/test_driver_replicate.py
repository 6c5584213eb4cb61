"""Replicate's driver: ordered, asked after, given up, told by webhook; inputs by each schema."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ccapi.core.errors import UnsupportedParameter
from media_jobs.drivers import replicate, replicate_inputs, replicate_models
from media_jobs.drivers.base import DriverFailed, Target
from media_jobs.drivers.replicate import BadNotice
from media_jobs.types import Delivered, ImageRequest, Pending, Started
from tests.fakes import replicate as fakes
from tests.fakes.replicate import SECRET, Plan, Replicate
from tests.fakes.steps import CLOSE, SILENCE, reply
from tests.fakes.upstream import Upstream
from tests.fakes.vendors import answer
from tests.media_jobs.drivers.targets import decoded, mask, picture, request, run, target

DRIVER = replicate.Replicate()
SCHNELL, DEV = "black-forest-labs/flux-schnell", "black-forest-labs/flux-dev"
FILL, SDXL, BANANA = (
    "black-forest-labs/flux-fill-dev",
    "stability-ai/sdxl",
    "google/nano-banana",
)
VERSION = SDXL + ":" + "7762fd07cf82c948" * 4


@pytest.fixture
def vendor() -> Iterator[Replicate]:
    with Replicate() as vendor:
        yield vendor


def start(there: Target, asked: ImageRequest, *, notify_url: str = "") -> Started:
    started = run(DRIVER.start(asked, there, reference="job_1", notify_url=notify_url))
    assert isinstance(started, Started)
    return started


def poll(there: Target, started: Started) -> Delivered | Pending:
    return run(DRIVER.poll(started, there))


def until_over(there: Target, started: Started, *, within_s: float = 5.0) -> Delivered:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = poll(there, started)
        if isinstance(found, Delivered):
            return found
        time.sleep(0.02)
    raise TimeoutError


def failure(there: Target, started: Started) -> DriverFailed:
    with pytest.raises(DriverFailed) as caught:
        until_over(there, started)
    return caught.value


def sent(vendor: Replicate) -> dict[str, Any]:
    """The input of the last order."""
    orders = [each for each in vendor.requests if each.path.endswith("predictions")]
    told = orders[-1].json()["input"]
    assert isinstance(told, dict)
    return told


def test_an_order_is_taken_asked_after_and_delivered(vendor: Replicate) -> None:
    vendor.plan(Plan(seconds=0.3))
    there = target(vendor, SCHNELL)

    started = start(there, request(count=2, aspect_ratio="16:9", seed=7, steps=4))
    first = poll(there, started)
    delivered = until_over(there, started)

    assert isinstance(first, Pending)
    assert started.estimated_s == 2.0
    assert started.count == 2
    assert started.poll_url.endswith(started.upstream_id)
    assert started.cancel_url.endswith("/cancel")
    assert [decoded(image.data).size for image in delivered.images] == [(1024, 1024)] * 2
    assert delivered.usage.images == 2
    assert delivered.request_id == started.upstream_id
    assert msgspec.json.decode(delivered.usage.raw)["predict_time"] == 0.3
    assert sent(vendor) == {
        "prompt": "a hare",
        "num_outputs": 2,
        "aspect_ratio": "16:9",
        "num_inference_steps": 4,
        "seed": 7,
    }
    order = vendor.requests[0]
    assert order.path == f"/v1/models/{SCHNELL}/predictions"
    assert order.headers["cancel-after"] == "5s"
    assert "prefer" not in order.headers


def test_a_model_with_a_version_is_ordered_by_it(vendor: Replicate) -> None:
    there = target(vendor, VERSION)

    delivered = until_over(
        there,
        start(
            there,
            request(
                width=768,
                height=512,
                guidance_scale=7.5,
                steps=30,
                negative_prompt="blurry",
                extras={"scheduler": "K_EULER"},
            ),
        ),
    )

    assert vendor.requests[0].path == "/v1/predictions"
    assert vendor.requests[0].json()["version"] == VERSION
    assert sent(vendor) == {
        "prompt": "a hare",
        "num_outputs": 1,
        "width": 768,
        "height": 512,
        "guidance_scale": 7.5,
        "num_inference_steps": 30,
        "negative_prompt": "blurry",
        "scheduler": "K_EULER",
    }
    assert decoded(delivered.images[0].data).size == (768, 512)


def test_a_picture_goes_in_a_data_url_and_a_large_one_by_the_file_store(vendor: Replicate) -> None:
    noise = msgspec.structs.replace(picture(), data=picture().data + bytes(300_000))
    there = target(vendor, DEV)

    start(there, request(images=(picture(),), strength=0.6, operation="image-to-image"))
    small = sent(vendor)
    start(there, request(images=(noise,), operation="image-to-image"))
    large = sent(vendor)

    assert decoded(small["image"]).size == (64, 48)
    assert small["prompt_strength"] == 0.6
    assert vendor.files[large["image"]] == noise.data


@pytest.mark.parametrize("transparent", [True, False])
def test_a_mask_is_white_where_the_picture_is_to_change(
    vendor: Replicate, *, transparent: bool
) -> None:
    drawn = mask(64, 48, transparent=transparent)
    asked = request(images=(picture(64, 48),), mask=drawn, operation="inpainting")

    start(target(vendor, FILL), asked)

    painted = decoded(sent(vendor)["mask"])
    assert painted.mode == "L"
    assert (painted.getpixel((5, 5)), painted.getpixel((60, 5))) == (255, 0)


def test_several_pictures_are_a_list_and_one_output_may_be_a_text(vendor: Replicate) -> None:
    there = target(vendor, BANANA)
    asked = request(images=(picture(), picture(shade=2)), operation="remix", output_format="jpeg")

    delivered = until_over(there, start(there, asked))

    told = sent(vendor)
    assert len(told["image_input"]) == 2
    assert told["output_format"] == "jpg"
    assert delivered.usage.images == 1


def test_a_format_that_the_model_does_not_make_is_made_here(vendor: Replicate) -> None:
    there = target(vendor, BANANA)

    started = start(there, request(output_format="webp"))
    delivered = until_over(there, started)

    assert "output_format" not in sent(vendor)
    assert started.output_format == "webp"
    assert delivered.images[0].media_type == "image/webp"


def test_progress_is_read_from_the_models_logs(vendor: Replicate) -> None:
    vendor.plan(Plan(seconds=0.6))
    there = target(vendor, SCHNELL)
    started = start(there, request())
    seen: list[float | None] = []
    while isinstance(found := poll(there, started), Pending):
        seen.append(found.progress)

    assert 0.4 in seen


@pytest.mark.parametrize(
    ("plan", "kind", "code"),
    [
        (Plan(end="failed"), "server", "failed"),
        (Plan(end="failed", error="NSFW content detected"), "content_refused", "failed"),
        (Plan(end="aborted"), "timeout", "aborted"),
        (Plan(end="canceled"), "timeout", "canceled"),
        (Plan(pictures=0), "server", "no_image"),
    ],
)
def test_ends_without_a_picture_are_told(
    vendor: Replicate, plan: Plan, kind: str, code: str
) -> None:
    vendor.plan(plan)
    there = target(vendor, SCHNELL)

    failed = failure(there, start(there, request()))

    assert (failed.failure.kind, failed.failure.code) == (kind, code)
    assert not failed.is_unknown


def test_fewer_pictures_than_asked_for_are_delivered_and_more_are_not(vendor: Replicate) -> None:
    vendor.plan(Plan(pictures=1), Plan(pictures=4))
    there = target(vendor, SCHNELL)

    fewer = until_over(there, start(there, request(count=3)))
    more = until_over(there, start(there, request(count=2)))

    assert (fewer.usage.images, more.usage.images) == (1, 2)


def test_work_is_given_up(vendor: Replicate) -> None:
    vendor.plan(Plan(seconds=float("inf")))
    there = target(vendor, SCHNELL)
    started = start(there, request())

    run(DRIVER.cancel(started, there))

    assert failure(there, started).failure.code == "canceled"


def test_work_that_ends_in_spite_of_being_given_up_is_delivered(vendor: Replicate) -> None:
    vendor.plan(Plan(seconds=float("inf"), ignores_cancel=True))
    there = target(vendor, SCHNELL)
    started = start(there, request())

    run(DRIVER.cancel(started, there))
    vendor.end_now(started.upstream_id)

    assert until_over(there, started).usage.images == 1
    run(DRIVER.cancel(started, there))  # and giving it up once more changes nothing
    assert until_over(there, started).usage.images == 1


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (fakes.throttled(5), "rate_limited"),
        (fakes.out_of_credit(), "credit"),
        (answer(422, {"title": "Invalid version or not permitted", "status": 422}), "not_found"),
        (answer(422, {"title": "Input validation failed", "detail": "- input"}), "invalid"),
        (answer(401, {"title": "Unauthenticated"}), "auth"),
        (reply(502, b"<html>", media_type="text/html"), "server"),
        (reply(503, b""), "overloaded"),
    ],
)
def test_refused_orders_are_understood(vendor: Replicate, script: Any, kind: str) -> None:  # noqa: ANN401
    vendor.next(script)

    with pytest.raises(DriverFailed) as caught:
        start(target(vendor, SCHNELL), request())

    assert caught.value.failure.kind == kind
    assert not caught.value.is_unknown


def test_how_long_to_wait_is_read_from_the_body(vendor: Replicate) -> None:
    vendor.next(fakes.throttled(5))

    with pytest.raises(DriverFailed) as caught:
        start(target(vendor, SCHNELL), request())

    assert caught.value.failure.retry_after == 5.0


@pytest.mark.parametrize("script", [SILENCE, CLOSE, reply(201, b"<html>")])
def test_an_order_without_an_answer_may_have_got_through(vendor: Replicate, script: Any) -> None:  # noqa: ANN401
    vendor.next(script)

    with pytest.raises(DriverFailed) as caught:
        start(target(vendor, SCHNELL, total_s=0.4), request())

    assert caught.value.is_unknown


def test_an_upload_without_an_answer_ordered_nothing(vendor: Replicate) -> None:
    vendor.next(CLOSE, at="/files")
    large = msgspec.structs.replace(picture(), data=picture().data + bytes(300_000))

    with pytest.raises(DriverFailed) as caught:
        start(target(vendor, DEV), request(images=(large,)))

    assert not caught.value.is_unknown
    assert not vendor.predictions


@pytest.mark.parametrize(
    "script", [CLOSE, reply(500, b""), fakes.throttled(1), reply(200, b"<html>")]
)
def test_a_question_without_an_answer_says_nothing_of_the_work(
    vendor: Replicate,
    script: Any,  # noqa: ANN401
) -> None:
    there = target(vendor, SCHNELL)
    started = start(there, request())
    vendor.next(script, at="/predictions/")

    with pytest.raises(DriverFailed) as caught:
        poll(there, started)

    assert caught.value.is_unknown
    assert until_over(there, started).usage.images == 1


def test_work_that_the_provider_does_not_know_is_lost(vendor: Replicate) -> None:
    failed = failure(target(vendor, SCHNELL), Started(upstream_id="unknown"))

    assert failed.failure.kind == "not_found"
    assert not failed.is_unknown


def test_our_key_goes_to_the_providers_address_whatever_link_is_stored(vendor: Replicate) -> None:
    there = target(vendor, SCHNELL)
    started = start(there, request())
    with Upstream(reply(200)) as elsewhere:
        moved = msgspec.structs.replace(
            started, poll_url=elsewhere.url + "/p", cancel_url=elsewhere.url + "/c"
        )
        until_over(there, moved)
        run(DRIVER.cancel(moved, there))

        assert elsewhere.count() == 0


@pytest.mark.parametrize("name", ["../files", "a/b", "", "x?y"])
def test_an_id_that_is_none_is_not_asked_after(vendor: Replicate, name: str) -> None:
    failed = failure(target(vendor, SCHNELL), Started(upstream_id=name))

    assert failed.failure.kind == "server"
    assert vendor.count() == 0


def test_pictures_are_on_a_host_of_their_own_and_fetched_through_the_guard(
    vendor: Replicate,
) -> None:
    vendor.plan(Plan(output_host="http://169.254.169.254"))
    there = target(vendor, SCHNELL)

    failed = failure(there, start(there, request()))

    assert "where we do not go" in failed.failure.message


# -- webhooks


def test_a_webhook_is_sent_at_the_end_and_verified(vendor: Replicate) -> None:
    there = target(vendor, SCHNELL)
    with Upstream(reply(200)) as ours:
        started = start(there, request(), notify_url=ours.url + "/hooks/job_1")
        ours.wait_until(lambda up: up.count() == 1)
        notice = ours.requests[0]

    prediction = replicate.verify(notice.headers, notice.body, SECRET)
    assert notice.path == "/hooks/job_1"
    assert (prediction.id, prediction.status) == (started.upstream_id, "succeeded")
    assert vendor.requests[0].json()["webhook_events_filter"] == ["completed"]


@pytest.mark.parametrize("wrong", ["body", "secret", "old", "unsigned", "no JSON"])
def test_a_forged_webhook_is_refused(wrong: str) -> None:
    body = b'{"id": "p1", "status": "succeeded"}'
    told = b"hello" if wrong == "no JSON" else body
    headers = fakes.signed("p1", told, age_s=3600.0 if wrong == "old" else 0.0)
    secret = SECRET
    if wrong == "body":
        told = body.replace(b"p1", b"p2")
    elif wrong == "secret":
        secret = "whsec_" + "A" * 32
    elif wrong == "unsigned":
        del headers["webhook-signature"]

    with pytest.raises(BadNotice):
        replicate.verify(headers, told, secret)


# -- inputs


@pytest.mark.parametrize(
    ("model", "told", "param"),
    [
        (SCHNELL, {"count": 5}, "n"),
        (BANANA, {"count": 2}, "n"),
        (SCHNELL, {"width": 512, "height": 512}, "size"),
        (SCHNELL, {"aspect_ratio": "7:5"}, "aspect_ratio"),
        (SCHNELL, {"steps": 5}, "steps"),
        (SCHNELL, {"guidance_scale": 3.0}, "guidance_scale"),
        (SCHNELL, {"negative_prompt": "blurry"}, "negative_prompt"),
        (SCHNELL, {"images": (picture(),)}, "contents"),
        (DEV, {"images": (picture(), picture())}, "contents"),
        (DEV, {"images": (picture(),), "mask": mask()}, "contents"),
        (DEV, {"guidance_scale": 50.0}, "guidance_scale"),
        (FILL, {}, "contents"),
        (SDXL, {"width": 1021, "height": 512}, "size"),
        (SDXL, {"quality": "hd"}, "quality"),
        (SDXL, {"extras": {"background": "transparent"}}, "background"),
        (SDXL, {"extras": {"num_outputs": 4}}, "num_outputs"),
        (SCHNELL, {"extras": {"webhook": "http://a"}}, "webhook"),
        ("somebody/else", {"extras": {"num_outputs": 4}}, "num_outputs"),
        ("somebody/else", {"count": 2}, "n"),
        ("black-forest-labs/flux-1.1-pro", {"width": 1000, "height": 512}, "size"),
    ],
)
def test_what_a_model_cannot_do_is_refused_by_name(
    model: str, told: dict[str, Any], param: str
) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        DRIVER.check(request(**told), target("http://x", model))

    assert caught.value.param == param


@pytest.mark.parametrize(
    ("model", "told", "expected"),
    [
        (
            "black-forest-labs/flux-1.1-pro",
            {"width": 1024, "height": 768},
            {"aspect_ratio": "custom", "width": 1024, "height": 768},
        ),
        (
            "bytedance/seedream-4",
            {"width": 2048, "height": 1024},
            {
                "sequential_image_generation": "disabled",
                "size": "custom",
                "width": 2048,
                "height": 1024,
            },
        ),
        ("ideogram-ai/ideogram-v3-turbo", {"width": 1344, "height": 768},
         {"resolution": "1344x768"}),
        ("stability-ai/stable-diffusion-3.5-large", {"guidance_scale": 4.5}, {"cfg": 4.5}),
        (SCHNELL, {"output_format": "jpeg", "extras": {"output_compression": 70}},
         {"num_outputs": 1, "output_format": "jpg", "output_quality": 70}),
        ("somebody/else", {"seed": 7, "extras": {"detail": "high", "tiling": True}},
         {"seed": 7, "detail": "high", "tiling": True}),
    ],
)  # fmt: skip
def test_parameters_are_told_by_the_names_of_each_schema(
    model: str, told: dict[str, Any], expected: dict[str, Any]
) -> None:
    asked = request(**told)
    inputs = replicate_models.of(model)

    assert DRIVER.check(asked, target("http://x", model)) == ()
    said = msgspec.json.decode(msgspec.json.encode(replicate_inputs.said(asked, inputs)))
    assert said == {"prompt": "a hare", **expected}


def test_what_changes_no_picture_is_dropped_and_told() -> None:
    asked = request(user="u-1", seed=7, extras={"moderation": "low", "output_compression": 70})

    assert DRIVER.check(asked, target("http://x", BANANA)) == (
        "user",
        "seed",
        "moderation",
        "output_compression",
    )


def test_every_row_can_be_asked_with_a_prompt_alone() -> None:
    for model, inputs in replicate_models.MODELS.items():
        asked = request(images=(picture(),) if inputs.needs_image else ())

        assert DRIVER.check(asked, target("http://x", model)) == ()
        assert replicate_inputs.said(asked, inputs)["prompt"] == "a hare"
