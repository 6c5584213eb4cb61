"""What bytes are told to be, and that bombs are refused before they go off."""

import io
import random
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from media_jobs import pictures
from media_jobs.pictures import NotAPicture
from tests.fakes.vendors import png
from tests.media_jobs import bombs

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (bombs.plain("PNG"), "image/png"),
        (bombs.plain("PNG", mode="P"), "image/png"),
        (bombs.plain("JPEG"), "image/jpeg"),
        (bombs.saved(Image.new("RGB", (32, 16)), "JPEG", progressive=True), "image/jpeg"),
        (bombs.plain("WEBP"), "image/webp"),
        (bombs.saved(Image.new("RGB", (32, 16)), "WEBP", lossless=True), "image/webp"),
        (bombs.saved(Image.new("RGBA", (32, 16)), "WEBP", exif=b"Exif\0\0"), "image/webp"),
        (bombs.plain("GIF", mode="P"), "image/gif"),
    ],
)
def test_type_and_size_are_read_by_hand_and_found_by_the_decoder(
    data: bytes, media_type: str
) -> None:
    header = pictures.check(data)

    assert header == pictures.Header(media_type, 32, 16)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (32, 16)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"SIMPLE  =                    T",  # FITS, of CVE-2026-40192
        bombs.plain("BMP"),
        bombs.plain("TIFF"),
        b"RIFF\x10\0\0\0AVI LIST",
    ],
)
def test_anything_but_four_formats_is_refused(data: bytes) -> None:
    with pytest.raises(NotAPicture, match="no PNG, JPEG, WebP or GIF"):
        pictures.check(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_cut_anywhere_is_refused(kind: str) -> None:
    whole = bombs.saved(Image.linear_gradient("L").convert("P" if kind == "GIF" else "RGB"), kind)
    tail = {"PNG": 12, "JPEG": 2, "GIF": 2}.get(kind, 1)  # what follows the last pixel

    for cut in {1, 8, 20, 40, len(whole) // 2, len(whole) - tail - 30}:
        with pytest.raises(NotAPicture):
            pictures.check(whole[:cut])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bombs.huge_png(2**31 - 1, 2**31 - 1), "pixels"),
        (bombs.huge_png(40_000_000, 1), "pixels"),
        (bombs.huge_png(0, 5), "no pixels"),
        (bombs.deflated_png(9000, 9000), "pixels"),
        (bombs.huge_webp(), "pixels"),
        (bombs.huge_jpeg(), "pixels"),
        (bombs.growing_gif(), "pixels"),
        (bombs.animated_gif(5000), "animated"),
        (bombs.saved(Image.new("RGB", (8, 8)), "WEBP", save_all=True,
                     append_images=[Image.new("RGB", (8, 8), 9)]), "animated"),
        (bombs.saved(Image.new("RGB", (8, 8)), "PNG", save_all=True,
                     append_images=[Image.new("RGB", (8, 8), 9)]), "animated"),
        (bombs.scanned_jpeg(2000), "scans"),
        (bombs.texted_png(64), "broken"),
    ],
)  # fmt: skip
def test_bombs_are_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(NotAPicture, match=reason):
        pictures.check(data)


def test_the_largest_picture_allowed_is_taken() -> None:
    header = pictures.check(bombs.deflated_png(8000, 5000))

    assert header.width * header.height == pictures.PIXELS_MAX


def test_random_damage_is_refused_or_taken_but_never_anything_else() -> None:
    draw = random.Random(7)  # noqa: S311 - the same damage every time
    wholes = [bombs.plain(kind) for kind in ("PNG", "JPEG", "WEBP")]
    wholes.append(bombs.plain("GIF", mode="P"))

    for turn in range(2000):
        data = bytearray(wholes[turn % 4])
        for _ in range(1 + turn % 5):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            header = pictures.check(bytes(data))
        except NotAPicture:
            continue
        assert header.width * header.height <= pictures.PIXELS_MAX


def test_memory_stays_flat_under_bombs() -> None:
    """In a process of its own, whose peak is measured: the largest bomb would take 17 GB."""
    code = """
import resource, struct
from media_jobs import pictures
from tests.media_jobs import bombs
thrown = [
    bombs.huge_png(2**31 - 1, 2**31 - 1), bombs.deflated_png(9000, 9000), bombs.huge_webp(),
    bombs.huge_jpeg(), bombs.growing_gif(), bombs.animated_gif(200_000), bombs.texted_png(8),
    bombs.scanned_jpeg(5000), bombs.huge_png(40_000_000, 1),
]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
refused = 0
for _ in range(3):
    for data in thrown:
        try:
            pictures.check(data)
        except pictures.NotAPicture:
            refused += 1
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(refused, len(thrown) * 3, (after - before) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    refused, thrown, grown_mb = map(int, done.stdout.split())
    assert refused == thrown
    assert grown_mb < 64


def test_the_header_is_of_the_bytes_and_not_of_what_follows() -> None:
    data = png(40, 30)

    assert pictures.header(data + b"\xff" * 100) == pictures.header(data)
