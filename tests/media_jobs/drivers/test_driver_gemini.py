"""Gemini's driver: its requests are Google's own types', its answers what Google documents."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from google.genai import types

from ccapi.core.errors import UnsupportedParameter
from media_jobs.drivers import gemini
from media_jobs.drivers.base import DriverFailed
from media_jobs.drivers.gemini import Gemini
from media_jobs.types import Delivered, ImageRequest
from tests.fakes.gemini_images import FORBIDDEN, UNSAFE, WHIM, GeminiImages
from tests.fakes.steps import SILENCE, reply
from tests.fakes.vendors import answer
from tests.media_jobs.drivers.targets import decoded, mask, picture, request, run, target

DRIVER = Gemini()
FLASH, PRO = "gemini-2.5-flash-image", "gemini-3-pro-image"


@pytest.fixture
def vendor() -> Iterator[GeminiImages]:
    with GeminiImages() as vendor:
        yield vendor


def start(vendor: GeminiImages, model: str, asked: ImageRequest, **how: Any) -> Delivered:  # noqa: ANN401
    result = run(DRIVER.start(asked, target(vendor, model, **how), reference="job_1"))
    assert isinstance(result, Delivered)
    return result


def failure(vendor: GeminiImages, model: str, asked: ImageRequest, **how: Any) -> DriverFailed:  # noqa: ANN401
    with pytest.raises(DriverFailed) as caught:
        start(vendor, model, asked, **how)
    return caught.value


def test_a_picture_is_made_and_its_tokens_counted(vendor: GeminiImages) -> None:
    delivered = start(vendor, FLASH, request(images=(picture(),), operation="image-to-image"))

    assert decoded(delivered.images[0].data).size == (1024, 1024)
    assert delivered.usage.images == 1
    assert (delivered.usage.input, delivered.usage.input_image) == (12, 258)
    assert (delivered.usage.output, delivered.usage.output_image) == (0, 1290)
    assert vendor.paths() == [f"POST /v1beta/models/{FLASH}:generateContent"]


def test_several_are_several_calls_each_with_a_seed_of_its_own(vendor: GeminiImages) -> None:
    delivered = start(vendor, FLASH, request(count=3, seed=40))

    seeds = [sent.json()["generationConfig"]["seed"] for sent in vendor.requests]
    assert sorted(seeds) == [40, 41, 42]
    assert [image.seed for image in delivered.images] == [40, 41, 42]
    assert delivered.usage.images == 3
    assert delivered.usage.output_image == 3 * 1290
    assert len({image.data for image in delivered.images}) == 3


def test_thoughts_are_not_delivered(vendor: GeminiImages) -> None:
    delivered = start(vendor, PRO, request())

    assert len(delivered.images) == 1
    assert decoded(delivered.images[0].data).size == (1024, 1024)


@pytest.mark.parametrize(
    ("model", "told", "sent", "variant"),
    [
        (FLASH, {"aspect_ratio": "16:9"}, {"aspectRatio": "16:9"}, "1344x768"),
        (FLASH, {"width": 832, "height": 1248}, {"aspectRatio": "2:3"}, "832x1248"),
        (
            PRO,
            {"width": 2048, "height": 2048},
            {"aspectRatio": "1:1", "imageSize": "2K"},
            "2048x2048",
        ),
        (
            PRO,
            {"width": 5504, "height": 3072},
            {"aspectRatio": "16:9", "imageSize": "4K"},
            "5504x3072",
        ),
        (
            PRO,
            {"aspect_ratio": "9:16", "extras": {"image_size": "2K"}},
            {"aspectRatio": "9:16", "imageSize": "2K"},
            "1536x2752",
        ),
        (PRO, {"extras": {"image_size": "4K"}}, {"imageSize": "4K"}, "4096x4096"),
        (PRO, {}, None, ""),
    ],
)
def test_sizes_are_told_as_ratio_and_resolution(
    vendor: GeminiImages,
    model: str,
    told: dict[str, Any],
    sent: dict[str, str] | None,
    variant: str,
) -> None:
    asked = request(**told)

    start(vendor, model, asked)

    config = vendor.requests[0].json()["generationConfig"]
    assert config.get("imageConfig") == sent
    assert DRIVER.variant(asked, target(vendor, model)) == (variant, "")


def test_googles_own_types_take_the_request() -> None:
    asked = request(
        images=(picture(), picture(kind="JPEG")), aspect_ratio="4:3", seed=5, operation="remix"
    )
    said = gemini.said(asked, target("http://x", PRO))

    told = msgspec.json.decode(msgspec.json.encode(said))
    content = types.Content.model_validate(told["contents"][0])
    config = types.GenerateContentConfig.model_validate(told["generationConfig"])

    parts = content.parts or []
    blobs = [part.inline_data for part in parts if part.inline_data]
    assert [blob.mime_type for blob in blobs] == ["image/png", "image/jpeg"]
    assert blobs[0].data == picture().data
    assert parts[-1].text == "a hare"
    assert config.response_modalities == ["IMAGE"]
    assert config.seed == 5
    assert config.image_config is not None
    assert config.image_config.aspect_ratio == "4:3"


@pytest.mark.parametrize(
    ("model", "told", "param"),
    [
        (FLASH, {"width": 1000, "height": 1000}, "size"),
        (FLASH, {"width": 2048, "height": 2048}, "size"),
        (FLASH, {"aspect_ratio": "7:5"}, "aspect_ratio"),
        (FLASH, {"extras": {"image_size": "2K"}}, "image_size"),
        (PRO, {"extras": {"image_size": "8K"}}, "image_size"),
        (PRO, {"width": 1024, "height": 1024, "extras": {"image_size": "2K"}}, "image_size"),
        (FLASH, {"quality": "hd"}, "quality"),
        (FLASH, {"steps": 20}, "steps"),
        (FLASH, {"negative_prompt": "blurry"}, "negative_prompt"),
        (FLASH, {"images": (picture(),), "mask": mask()}, "contents"),
        (PRO, {"images": (picture(),) * 15}, "contents"),
        (FLASH, {"seed": 2**31}, "seed"),
        (FLASH, {"extras": {"background": "transparent"}}, "background"),
        (FLASH, {"extras": {"temperature": 1}}, "temperature"),
    ],
)
def test_what_a_model_cannot_do_is_refused_by_name(
    model: str, told: dict[str, Any], param: str
) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        DRIVER.check(request(**told), target("http://x", model))

    assert caught.value.param == param


def test_what_changes_no_picture_is_dropped_and_told() -> None:
    asked = request(user="u-1", extras={"moderation": "low", "background": "auto"})

    assert DRIVER.check(asked, target("http://x", FLASH)) == ("user", "moderation")


def test_another_format_is_made_here(vendor: GeminiImages) -> None:
    delivered = start(vendor, FLASH, request(output_format="jpeg"))

    assert delivered.images[0].media_type == "image/jpeg"


@pytest.mark.parametrize(
    ("prompt", "kind", "code"),
    [
        (FORBIDDEN, "content_refused", "PROHIBITED_CONTENT"),
        (UNSAFE, "content_refused", "IMAGE_SAFETY"),
        (WHIM, "server", "NO_IMAGE"),
    ],
)
def test_answers_without_a_picture_say_why(
    vendor: GeminiImages, prompt: str, kind: str, code: str
) -> None:
    failed = failure(vendor, FLASH, request(f"a {prompt} hare"))

    assert (failed.failure.kind, failed.failure.code) == (kind, code)
    assert not failed.is_unknown
    assert "hare" not in failed.failure.message


def test_of_several_those_that_came_are_delivered(vendor: GeminiImages) -> None:
    vendor.next(answer(503, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}))

    assert start(vendor, FLASH, request(count=3)).usage.images == 2


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (answer(429, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}), "rate_limited"),
        (reply(500, b"<html>"), "server"),
        (reply(200, b"[]"), "server"),
        (reply(200, b'{"candidates": [{"content": {"parts": [{"inlineData": 7}]}}]}'), "server"),
        (reply(200, b'{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}'), "rate_limited"),
    ],
)
def test_failures_are_understood(vendor: GeminiImages, script: Any, kind: str) -> None:  # noqa: ANN401
    vendor.next(script)

    assert failure(vendor, FLASH, request()).failure.kind == kind


def test_a_wrong_key_is_ours_and_is_not_quoted(vendor: GeminiImages) -> None:
    failed = failure(vendor, FLASH, request(), key="AIza-wrong")

    assert failed.failure.kind == "auth"
    assert "AIza" not in str(failed)


def test_silence_leaves_the_outcome_unknown(vendor: GeminiImages) -> None:
    vendor.next(SILENCE)

    assert failure(vendor, FLASH, request(), total_s=0.3).is_unknown


def test_a_blob_that_is_no_picture_is_not_delivered(vendor: GeminiImages) -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": "aGFsbG8="}}
    vendor.next(answer(200, {"candidates": [{"content": {"parts": [part]}}]}))

    assert failure(vendor, FLASH, request()).failure.kind == "server"
