"""OpenAI's driver against a fake that reads its requests as strictly as OpenAI does."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from ccapi.core.errors import UnsupportedParameter
from media_jobs.drivers.base import DriverFailed
from media_jobs.drivers.openai import OpenAI
from media_jobs.types import Delivered, ImageRequest
from tests.fakes.openai_images import FORBIDDEN, OpenAIImages
from tests.fakes.steps import CLOSE, SILENCE, reply
from tests.fakes.vendors import answer, png
from tests.media_jobs.drivers.targets import decoded, mask, picture, request, run, target

DRIVER = OpenAI()
GPT_1, GPT_2, GPT_25 = "gpt-image-1.5", "gpt-image-2", "gpt-image-2.5-flare"


@pytest.fixture
def vendor() -> Iterator[OpenAIImages]:
    with OpenAIImages() as vendor:
        yield vendor


def start(vendor: OpenAIImages, model: str, asked: ImageRequest, **how: Any) -> Delivered:  # noqa: ANN401
    result = run(DRIVER.start(asked, target(vendor, model, **how), reference="job_1"))
    assert isinstance(result, Delivered)
    return result


def failure(vendor: OpenAIImages, model: str, asked: ImageRequest, **how: Any) -> DriverFailed:  # noqa: ANN401
    with pytest.raises(DriverFailed) as caught:
        start(vendor, model, asked, **how)
    return caught.value


def refusal(model: str, asked: ImageRequest) -> UnsupportedParameter:
    with pytest.raises(UnsupportedParameter) as caught:
        DRIVER.check(asked, target("http://x", model))
    return caught.value


def test_gpt_image_makes_pictures_of_the_size_and_counts_its_tokens(vendor: OpenAIImages) -> None:
    asked = request(count=2, width=1536, height=1024, quality="low", user="u-1")

    delivered = start(vendor, GPT_1, asked)

    assert [decoded(image.data).size for image in delivered.images] == [(1536, 1024)] * 2
    assert delivered.images[0].media_type == "image/png"
    assert delivered.usage.images == 2
    assert (delivered.usage.input, delivered.usage.input_image) == (10, 50)
    assert (delivered.usage.output, delivered.usage.output_image) == (0, 544)
    assert delivered.request_id.startswith("req_")
    assert vendor.requests[0].json() == {
        "model": GPT_1,
        "prompt": "a hare",
        "n": 2,
        "size": "1536x1024",
        "quality": "low",
        "user": "u-1",
    }
    assert vendor.requests[0].headers["x-client-request-id"] == "job_1"


def test_what_openai_alone_knows_is_passed_on(vendor: OpenAIImages) -> None:
    asked = request(
        output_format="jpeg",
        extras={
            "background": "opaque",
            "moderation": "low",
            "output_compression": 70,
            "safety_identifier": "abc",
        },
    )

    delivered = start(vendor, GPT_1, asked)

    assert delivered.images[0].media_type == "image/jpeg"
    sent = vendor.requests[0].json()
    assert sent["output_compression"] == 70
    assert sent["background"] == "opaque"


def test_a_link_is_fetched_where_the_model_gives_one(vendor: OpenAIImages) -> None:
    """By a server that does not give the base64 that it was asked for."""
    link = vendor.url + "/cdn/a.png"
    vendor.next(answer(200, {"created": 1, "data": [{"url": link}, {"url": link + "x"}]}))
    vendor.next(reply(200, png(20, 10)), at="/cdn/a.png")
    vendor.next(*[reply(404)] * 3, at="/cdn/a.pngx")

    delivered = start(vendor, "other-model", request(count=2))

    assert delivered.usage.images == 1  # the other one is gone
    assert decoded(delivered.images[0].data).size == (20, 10)


def test_several_of_dall_e_3_are_several_calls(vendor: OpenAIImages) -> None:
    delivered = start(vendor, "dall-e-3", request(count=3, quality="hd"))

    assert delivered.usage.images == 3
    assert vendor.count() == 3
    assert delivered.images[0].revised_prompt == "a hare, in oil"


def test_of_several_calls_those_that_worked_are_delivered(vendor: OpenAIImages) -> None:
    vendor.next(reply(500, b"{}"), CLOSE)

    delivered = start(vendor, "dall-e-3", request(count=4))

    assert delivered.usage.images == 2


def test_where_no_call_worked_an_unknown_outcome_is_told_first(vendor: OpenAIImages) -> None:
    vendor.next(reply(500, b"{}"), CLOSE)

    assert failure(vendor, "dall-e-3", request(count=2)).is_unknown


def test_an_image_to_change_is_sent_as_a_form(vendor: OpenAIImages) -> None:
    asked = request(images=(picture(64, 48),), operation="image-to-image", count=2)

    delivered = start(vendor, GPT_1, asked)

    assert delivered.usage.images == 2
    assert vendor.paths() == ["POST /v1/images/edits"]
    [file] = vendor.edits[0]
    assert (file.name, file.media_type, file.filename) == ("image", "image/png", "image-0.png")
    assert file.data == picture(64, 48).data


@pytest.mark.parametrize("transparent", [True, False])
def test_a_mask_is_transparent_where_the_picture_is_to_change(
    vendor: OpenAIImages,
    *,
    transparent: bool,
) -> None:
    drawn = mask(64, 48, transparent=transparent)
    asked = request(images=(picture(64, 48),), mask=drawn, operation="inpainting")

    start(vendor, GPT_2, asked)

    sent = decoded(next(file.data for file in vendor.edits[0] if file.name == "mask"))
    alpha = sent.getchannel("A")
    assert (alpha.getpixel((5, 5)), alpha.getpixel((60, 5))) == (0, 255)


def test_several_images_are_sent_together_and_gifs_as_pngs(vendor: OpenAIImages) -> None:
    asked = request(
        images=(picture(kind="JPEG"), picture(kind="WEBP"), picture(kind="GIF")),
        operation="remix",
        extras={"input_fidelity": "high"},
    )

    start(vendor, GPT_1, asked)

    files = vendor.edits[0]
    assert [file.name for file in files] == ["image[]"] * 3
    assert [file.media_type for file in files] == ["image/jpeg", "image/webp", "image/png"]


def test_a_format_that_the_model_does_not_make_is_made_here(vendor: OpenAIImages) -> None:
    delivered = start(vendor, "dall-e-2", request(width=256, height=256, output_format="webp"))

    assert delivered.images[0].media_type == "image/webp"
    assert decoded(delivered.images[0].data).size == (256, 256)


@pytest.mark.parametrize(
    ("model", "ratio", "size"),
    [
        (GPT_1, "1:1", "1024x1024"),
        (GPT_1, "3:2", "1536x1024"),
        (GPT_1, "2:3", "1024x1536"),
        (GPT_2, "16:9", "1536x864"),
        (GPT_2, "21:9", "1904x816"),
        (GPT_2, "3:1", "2160x720"),
    ],
)
def test_a_ratio_becomes_a_size_that_has_it_exactly(model: str, ratio: str, size: str) -> None:
    asked = request(aspect_ratio=ratio, quality="high")
    across, down = map(int, ratio.split(":"))
    width, height = map(int, size.split("x"))

    assert DRIVER.variant(asked, target("http://x", model)) == (size, "high")
    assert width * down == height * across


@pytest.mark.parametrize("size", [(2048, 1152), (3840, 2160), (16 * 30, 16 * 90)])
def test_newer_models_make_any_size_of_sixteens(
    vendor: OpenAIImages, size: tuple[int, int]
) -> None:
    asked = request(width=size[0], height=size[1])

    DRIVER.check(asked, target(vendor, GPT_25))

    assert DRIVER.variant(asked, target(vendor, GPT_25))[0] == f"{size[0]}x{size[1]}"


@pytest.mark.parametrize(
    ("model", "told", "param"),
    [
        (GPT_1, {"width": 512, "height": 512}, "size"),
        (GPT_1, {"aspect_ratio": "16:9"}, "aspect_ratio"),
        (GPT_2, {"width": 1000, "height": 1000}, "size"),
        (GPT_2, {"width": 3840, "height": 3840}, "size"),
        (GPT_2, {"width": 2048, "height": 512}, "size"),
        (GPT_2, {"aspect_ratio": "4:1"}, "aspect_ratio"),
        (GPT_1, {"quality": "hd"}, "quality"),
        (GPT_2, {"quality": "max"}, "quality"),
        (GPT_1, {"steps": 20}, "steps"),
        (GPT_1, {"guidance_scale": 7.0}, "guidance_scale"),
        (GPT_1, {"negative_prompt": "blurry"}, "negative_prompt"),
        (GPT_1, {"strength": 0.5, "images": (picture(),)}, "strength"),
        (GPT_1, {"extras": {"style": "vivid"}}, "style"),
        (GPT_1, {"extras": {"go_fast": True}}, "go_fast"),
        (GPT_2, {"extras": {"api_base": "http://evil"}}, "api_base"),
        ("dall-e-3", {"images": (picture(),)}, "contents"),
        ("dall-e-3", {"extras": {"background": "transparent"}}, "background"),
        ("dall-e-2", {"images": (picture(), picture())}, "contents"),
        ("abstract-1", {"images": (picture(),)}, "contents"),
        ("abstract-1", {"aspect_ratio": "1:1"}, "aspect_ratio"),
        ("other-model", {"images": (picture(),)}, "contents"),
    ],
)
def test_what_a_model_cannot_do_is_refused_by_name(
    model: str, told: dict[str, Any], param: str
) -> None:
    assert refusal(model, request(**told)).param == param


def test_a_refusal_names_what_is_allowed() -> None:
    error = refusal(GPT_1, request(width=512, height=512))

    assert error.details["allowed"] == ["auto", "1024x1024", "1536x1024", "1024x1536"]
    assert "1536x1024" in error.message


def test_what_changes_no_picture_is_dropped_and_told(vendor: OpenAIImages) -> None:
    asked = request(seed=7, extras={"complexity": "high", "background": "auto"})
    there = target(vendor, GPT_1)

    assert DRIVER.check(asked, there) == ("complexity", "seed")
    start(vendor, GPT_1, asked)
    assert set(vendor.requests[0].json()) == {"model", "prompt", "n", "background"}


def test_the_local_model_gets_its_seed_and_format(vendor: OpenAIImages) -> None:
    told = {"created": 1, "data": [{"b64_json": base64.b64encode(png(64, 64)).decode()}]}
    vendor.next(answer(200, told))

    asked = request(seed=7, output_format="png", width=64, height=64)
    delivered = start(vendor, "abstract-1", asked)

    assert delivered.images[0].seed == 7
    sent = vendor.requests[0].json()
    assert (sent["seed"], sent["output_format"], sent["size"]) == (7, "png", "64x64")
    assert sent["response_format"] == "b64_json"


def test_a_prompt_that_the_policy_refuses_is_told_so(vendor: OpenAIImages) -> None:
    failed = failure(vendor, GPT_1, request(f"a {FORBIDDEN} hare"))

    assert failed.failure.kind == "content_refused"
    assert failed.failure.code == "moderation_blocked"
    assert not failed.is_unknown


def test_a_wrong_key_is_ours_and_is_not_quoted(vendor: OpenAIImages) -> None:
    failed = failure(vendor, GPT_1, request(), key="sk-wrong-key-of-ours")

    assert failed.failure.kind == "auth"
    assert "sk-wrong" not in str(failed)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (answer(429, {"error": {"code": "rate_limit_exceeded"}}), "rate_limited"),
        (answer(429, {"error": {"code": "insufficient_quota"}}), "credit"),
        (answer(500, {"error": {"message": "oops"}}), "server"),
        (reply(503, b"<html>", media_type="text/html"), "overloaded"),
        (reply(200, b"<html>"), "server"),
        (reply(200, b'{"created": 1}'), "server"),
        (reply(200, b'{"data": []}'), "server"),
        (reply(200, b'{"data": [{"b64_json": "aGFsbG8="}]}'), "server"),
        (reply(200, b'{"data": [{"b64_json": "!!!"}]}'), "server"),
        (reply(200, b'{"error": {"message": "no", "code": "model_not_found"}}'), "not_found"),
    ],
)  # fmt: skip
def test_failures_are_understood(vendor: OpenAIImages, script: Any, kind: str) -> None:  # noqa: ANN401
    vendor.next(script)

    failed = failure(vendor, GPT_1, request())

    assert failed.failure.kind == kind
    assert not failed.is_unknown


def test_a_retry_after_is_kept(vendor: OpenAIImages) -> None:
    vendor.next(answer(429, {"error": {"message": "slow"}}, {"retry-after": "7"}))

    assert failure(vendor, GPT_1, request()).failure.retry_after == 7.0


def test_a_provider_that_falls_silent_leaves_the_outcome_unknown(vendor: OpenAIImages) -> None:
    vendor.next(SILENCE)

    failed = failure(vendor, GPT_1, request(), total_s=0.3)

    assert failed.failure.kind == "timeout"
    assert failed.is_unknown


def test_garbage_beside_a_picture_costs_the_picture_nothing(vendor: OpenAIImages) -> None:
    good = base64.b64encode(png(16, 16)).decode()
    vendor.next(answer(200, {"data": [{"b64_json": "aGFsbG8="}, {"b64_json": good}]}))

    delivered = start(vendor, GPT_1, request(count=2))

    assert delivered.usage.images == 1


def test_more_than_was_asked_for_is_not_delivered(vendor: OpenAIImages) -> None:
    good = base64.b64encode(png(16, 16)).decode()
    vendor.next(answer(200, {"data": [{"b64_json": good}] * 5}))

    assert start(vendor, GPT_1, request(count=2)).usage.images == 2


@pytest.mark.parametrize(
    "usage",
    [{"input_tokens": -5}, {"output_tokens": "many"}, [], {"input_tokens": 1e30}, None],
)
def test_counts_that_are_none_do_not_count(vendor: OpenAIImages, usage: object) -> None:
    good = base64.b64encode(png(16, 16)).decode()
    vendor.next(answer(200, {"data": [{"b64_json": good}], "usage": usage}))

    used = start(vendor, GPT_1, request()).usage

    assert (used.input_total, used.output_total, used.images) == (0, 0, 1)
