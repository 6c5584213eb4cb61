"""Pictures made into other formats, and masks from one way of drawing into the other."""

import io

import pytest
from PIL import Image

from media_jobs.drivers import conversion
from media_jobs.pictures import NotAPicture
from media_jobs.types import Made, Picture
from tests.media_jobs.drivers.targets import decoded, mask, picture


def made(image: Image.Image, kind: str = "PNG") -> Made:
    written = io.BytesIO()
    image.save(written, kind)
    return Made(data=written.getvalue(), media_type=f"image/{kind.lower()}", seed=7)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_any_picture_becomes_a_png_of_the_same_size(kind: str) -> None:
    converted = conversion.as_png(picture(40, 30, kind))

    assert converted.media_type == "image/png"
    assert decoded(converted.data).size == (40, 30)


def test_a_png_stays_as_it_is() -> None:
    whole = picture(40, 30)

    assert conversion.as_png(whole) is whole


@pytest.mark.parametrize("transparent", [True, False])
def test_both_ways_of_drawing_a_mask_mean_the_same(*, transparent: bool) -> None:
    drawn = mask(40, 20, transparent=transparent)

    alpha = decoded(conversion.transparent_mask(drawn).data).getchannel("A")
    white = decoded(conversion.painted_mask(drawn, "white").data)
    black = decoded(conversion.painted_mask(drawn, "black").data)

    assert [each.getpixel((5, 5)) for each in (alpha, white, black)] == [0, 255, 0]
    assert [each.getpixel((35, 5)) for each in (alpha, white, black)] == [255, 0, 255]


def test_a_jpeg_can_be_a_mask() -> None:
    written = io.BytesIO()
    Image.new("L", (40, 20), 255).save(written, "JPEG")
    drawn = Picture(data=written.getvalue(), media_type="image/jpeg", width=40, height=20)

    sent = decoded(conversion.transparent_mask(drawn).data)

    assert sent.getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_a_result_is_made_into_the_format_that_was_asked_for(output_format: str) -> None:
    converted = conversion.made_into(made(Image.new("RGB", (40, 30), "red")), output_format)

    image = decoded(converted.data)
    assert (image.format or "").lower() == output_format
    assert converted.media_type == f"image/{output_format}"
    assert image.size == (40, 30)
    assert converted.seed == 7


def test_what_has_the_format_already_is_not_touched() -> None:
    whole = made(Image.new("RGB", (40, 30)))

    assert conversion.made_into(whole, "png") is whole
    assert conversion.made_into(whole, "") is whole


def test_transparency_is_white_in_a_jpeg_and_stays_elsewhere() -> None:
    whole = made(Image.new("RGBA", (40, 30), (0, 0, 0, 0)))

    flat = decoded(conversion.made_into(whole, "jpeg").data).convert("RGB")
    kept = decoded(conversion.made_into(whole, "webp").data)

    assert flat.getpixel((3, 3)) == (255, 255, 255)
    assert kept.getchannel("A").getextrema() == (0, 0)


def test_a_broken_result_is_refused() -> None:
    whole = made(Image.linear_gradient("L"))
    broken = Made(data=whole.data[:-200], media_type="image/png")

    with pytest.raises(NotAPicture):
        conversion.made_into(broken, "jpeg")
