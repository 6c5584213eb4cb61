"""Pictures made into other formats, and masks from one way of drawing into the other."""

import asyncio
import io

import pytest
from PIL import Image

from media_jobs.drivers import conversion
from media_jobs.pictures import NotAPicture
from media_jobs.types import Made, Picture
from tests.media_jobs.drivers.targets import decoded, mask, picture


def as_png(whole: Picture) -> Picture:
    return asyncio.run(conversion.as_png(whole))


def transparent(drawn: Picture) -> bytes:
    return asyncio.run(conversion.transparent_mask(drawn)).data


def painted(drawn: Picture, changes: conversion.Changes) -> bytes:
    return asyncio.run(conversion.painted_mask(drawn, changes)).data


def into(whole: Made, output_format: str) -> Made:
    return asyncio.run(conversion.made_into(whole, output_format))


def made(image: Image.Image, kind: str = "PNG") -> Made:
    written = io.BytesIO()
    image.save(written, kind)
    return Made(data=written.getvalue(), media_type=f"image/{kind.lower()}", seed=7)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_any_picture_becomes_a_png_of_the_same_size(kind: str) -> None:
    converted = as_png(picture(40, 30, kind))

    assert converted.media_type == "image/png"
    assert decoded(converted.data).size == (40, 30)


def test_a_png_stays_as_it_is() -> None:
    whole = picture(40, 30)

    assert as_png(whole) is whole


@pytest.mark.parametrize("is_transparent", [True, False])
def test_both_ways_of_drawing_a_mask_mean_the_same(*, is_transparent: bool) -> None:
    drawn = mask(40, 20, transparent=is_transparent)

    alpha = decoded(transparent(drawn)).getchannel("A")
    white = decoded(painted(drawn, "white"))
    black = decoded(painted(drawn, "black"))

    assert [each.getpixel((5, 5)) for each in (alpha, white, black)] == [0, 255, 0]
    assert [each.getpixel((35, 5)) for each in (alpha, white, black)] == [255, 0, 255]


def test_a_jpeg_can_be_a_mask() -> None:
    written = io.BytesIO()
    Image.new("L", (40, 20), 255).save(written, "JPEG")
    drawn = Picture(data=written.getvalue(), media_type="image/jpeg", width=40, height=20)

    sent = decoded(transparent(drawn))

    assert sent.getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_a_result_is_made_into_the_format_that_was_asked_for(output_format: str) -> None:
    converted = into(made(Image.new("RGB", (40, 30), "red")), output_format)

    image = decoded(converted.data)
    assert (image.format or "").lower() == output_format
    assert converted.media_type == f"image/{output_format}"
    assert image.size == (40, 30)
    assert converted.seed == 7


def test_what_has_the_format_already_is_not_touched() -> None:
    whole = made(Image.new("RGB", (40, 30)))

    assert into(whole, "png") is whole
    assert into(whole, "") is whole


def test_transparency_is_white_in_a_jpeg_and_stays_elsewhere() -> None:
    whole = made(Image.new("RGBA", (40, 30), (0, 0, 0, 0)))

    flat = decoded(into(whole, "jpeg").data).convert("RGB")
    kept = decoded(into(whole, "webp").data)

    assert flat.getpixel((3, 3)) == (255, 255, 255)
    assert kept.getchannel("A").getextrema() == (0, 0)


def test_a_broken_result_is_refused() -> None:
    whole = made(Image.linear_gradient("L"))
    broken = Made(data=whole.data[:-200], media_type="image/png")

    with pytest.raises(NotAPicture):
        into(broken, "jpeg")
