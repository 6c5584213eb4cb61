"""Pictures and forms as the sandbox makes and reads them, seen by Pillow and httpx2."""

import base64
import io
import json

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gateway.sandbox import pictures
from gateway.sandbox.failures import Refused
from gateway.sandbox.forms import parts
from gateway.sandbox.images import Images
from gateway.sandbox.service import Asked

SEED = pictures.seed_of("A fox")
GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("size", [(16, 16), (17, 4096), (1024, 1024), (333, 121), (4096, 16)])
def test_a_picture_is_a_png_of_its_size_that_says_what_it_is(size: tuple[int, int]) -> None:
    image = opened(pictures.png(*size, SEED))

    assert (image.format, image.size) == ("PNG", size)
    assert image.info["Software"] == "CCAPI sandbox"
    assert "no model" in image.info["Description"]
    colours = image.convert("RGB").getcolors(maxcolors=64)
    assert colours is not None
    assert 4 <= len(colours) <= 16


def test_it_has_the_word_across_it_where_there_is_room() -> None:
    image = opened(pictures.png(420, 420, SEED)).convert("RGB")

    # Three quarters of the width are a scale of 7: the S begins at the left of 287, its top
    # is one dot down in a band of nine.
    left, top = (420 - 41 * 7) // 2, (420 - 9 * 7) // 2
    dots = [image.getpixel((left + 3 + 7 * x, top + 7 + 3)) for x in range(5)]
    assert dots == [(0, 0, 0), *[(255, 255, 255)] * 4]


@given(st.text(), st.text())
def test_the_same_seed_is_the_same_picture_and_another_is_another(one: str, other: str) -> None:
    drawn = [pictures.png(32, 32, pictures.seed_of(each)) for each in (one, one, other)]

    assert drawn[0] == drawn[1]
    assert (drawn[0] == drawn[2]) == (one == other)


@pytest.mark.parametrize("text", ["", "1024", "15x1024", "1024x4097", "axb", "1024x1024x1", "auto"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
        pictures.size_of(text)


def form(fields: dict[str, str], *files: tuple[str, bytes]) -> tuple[str, bytes]:
    """As a client sends it: its content type, and its body."""
    request = httpx2.Request(
        "POST",
        "http://sandbox",
        data=fields,
        files=[(name, (f"{name}.png", data, "image/png")) for name, data in files],
    )
    return request.headers["content-type"], request.read()


@given(st.binary(), st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_form_is_read_as_it_was_written(data: bytes, text: str) -> None:
    found = list(parts(*form({"prompt": text}, ("image[]", data))))

    assert [(part.name, part.is_file) for part in found] == [("prompt", False), ("image[]", True)]
    assert [part.data for part in found] == [text.encode(), data]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nno name\r\n--x--"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n'),
    ],
)
def test_what_is_no_form_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"it|its"):
        list(parts(content_type, body))
    with pytest.raises(Refused):
        Images().answer(Asked("POST", EDITS, {"content-type": content_type}, body))


def made(**body: object) -> list[dict[str, object]]:
    asked = Asked("POST", GENERATIONS, {}, json.dumps({"prompt": "A fox", **body}).encode())
    told = json.loads(
        b"".join(part for part in Images().answer(asked).steps if isinstance(part, bytes))
    )
    found: list[dict[str, object]] = told["data"]
    return found


def test_several_pictures_of_a_request_are_different_and_a_seed_comes_back() -> None:
    first, other = made(model="image", n=2, size="64x32", seed=7)

    assert first["b64_json"] != other["b64_json"]
    assert first["seed"] == 7
    assert opened(base64.b64decode(str(first["b64_json"]))).size == (64, 32)
    assert len(made(model="image-partial:1", n=3, size="16x16")) == 1
    assert made(model="image-empty") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "nothing"},
        {"model": "image:1"},
        {"model": "image", "n": 11},
        {"model": "image", "prompt": ""},
        {"model": "image", "size": "1x1"},
        {"model": "image", "response_format": "url"},
        {"model": "image", "output_format": "webp"},
        {"model": "image-content-filter"},
    ],
)
def test_what_it_does_not_do_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Refused):
        made(**wrong)
