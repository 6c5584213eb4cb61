"""What bytes are told to be, and that bombs are refused before they go off."""

import asyncio
import io
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from ccapi.core.confined.bench import Limits
from media_jobs import pictures
from media_jobs.pictures import NotAPicture
from tests.fakes.vendors import png
from tests.media_jobs import bombs

ROOT = Path(__file__).parents[2]
LARGE = Limits(seconds=20.0, memory_bytes=2**28, answer_bytes=2**24)


def check(data: bytes) -> pictures.Header:
    return asyncio.run(pictures.check(data))


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
    header = check(data)

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
        check(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_cut_anywhere_is_refused(kind: str) -> None:
    whole = bombs.saved(Image.linear_gradient("L").convert("P" if kind == "GIF" else "RGB"), kind)
    tail = {"PNG": 12, "JPEG": 2, "GIF": 2}.get(kind, 1)  # what follows the last pixel

    for cut in {1, 8, 20, 40, len(whole) // 2, len(whole) - tail - 30}:
        with pytest.raises(NotAPicture):
            check(whole[:cut])


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
        (bombs.blocked_gif(250_000), "blocks"),
        (bombs.texted_png(64), "broken"),
    ],
)  # fmt: skip
def test_bombs_are_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(NotAPicture, match=reason):
        check(data)


def test_the_largest_picture_allowed_is_taken() -> None:
    header = check(bombs.deflated_png(8000, 5000))

    assert header.width * header.height == pictures.PIXELS_MAX


def oriented() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    return exif


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "LA", {}),
        ("PNG", "I;16", {}),
        ("PNG", "P", {"transparency": 3}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "L", {"exif": oriented()}),
        ("MPO", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (32, 16), 9)]}),
        ("WEBP", "RGBA", {"exif": oriented()}),
        ("GIF", "P", {"transparency": 3, "interlace": 1}),
    ],
)
def test_a_decoder_finds_all_that_it_needs_where_it_is_confined(
    kind: str, mode: str, options: dict[str, object]
) -> None:
    """What is imported late would be missing there."""
    data = bombs.saved(Image.new(mode, (32, 16), 3), kind, **options)
    header = check(data)

    for wanted in ("PNG", "JPEG", "WEBP"):
        made = asyncio.run(
            pictures.decoded("written_as", data, header, limits=LARGE, wanted=wanted)
        )
        assert pictures.header(made).format == wanted
    for function, more in (("transparent_mask", {}), ("painted_mask", {"changes": "black"})):
        made = asyncio.run(pictures.decoded(function, data, header, limits=LARGE, **more))
        assert check(made) == pictures.Header("image/png", 32, 16)


def test_a_picture_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of a megabyte, within every limit of size and scans, takes many seconds."""
    bomb = bombs.slow_jpeg(6300, pictures.SCANS_MAX)
    monkeypatch.setattr(pictures, "CHECK", msgspec.structs.replace(pictures.CHECK, seconds=0.5))

    with pytest.raises(NotAPicture, match="takes too long"):
        check(bomb)
    check(png(40, 30))


def test_a_picture_that_takes_too_much_memory_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = bombs.deflated_png(8000, 5000)
    monkeypatch.setattr(pictures, "CHECK", msgspec.structs.replace(LARGE, memory_bytes=2**25))

    with pytest.raises(NotAPicture, match="too much memory"):
        check(bomb)
    check(png(40, 30))


def test_random_damage_is_refused_or_taken_but_never_anything_else() -> None:
    draw = random.Random(7)  # noqa: S311 - the same damage every time
    wholes = [bombs.plain(kind) for kind in ("PNG", "JPEG", "WEBP")]
    wholes.append(bombs.plain("GIF", mode="P"))
    reasons = set()

    for turn in range(600):
        data = bytearray(wholes[turn % 4])
        for _ in range(1 + turn % 5):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            header = check(bytes(data))
        except NotAPicture as refused:
            reasons.add(str(refused))
            continue
        assert header.width * header.height <= pictures.PIXELS_MAX

    assert "it is broken or cut short" in reasons
    assert "it cannot be decoded" not in reasons  # of none did it die


def test_memory_stays_flat_under_bombs() -> None:
    """In a process of its own, whose peak is measured: the largest bomb would take 17 GB."""
    code = """
import asyncio, django, resource, sys
django.setup()
from media_jobs import pictures
from tests.media_jobs import bombs
thrown = [
    bombs.huge_png(2**31 - 1, 2**31 - 1), bombs.deflated_png(9000, 9000), bombs.huge_webp(),
    bombs.huge_jpeg(), bombs.growing_gif(), bombs.animated_gif(200_000), bombs.texted_png(8),
    bombs.scanned_jpeg(5000), bombs.huge_png(40_000_000, 1), bombs.blocked_gif(300_000),
]
taken = [bombs.deflated_png(8000, 5000), bombs.plain("WEBP"), bombs.plain("JPEG")]
async def throw():
    refused = 0
    for _ in range(3):
        for data in thrown:
            try:
                await pictures.check(data)
            except pictures.NotAPicture:
                refused += 1
    for _ in range(100):
        for data in taken[1:]:
            await pictures.check(data)
    await pictures.check(taken[0])
    return refused
asyncio.run(pictures.check(taken[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
refused = asyncio.run(throw())
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(refused, len(thrown) * 3, (after - before) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    refused, thrown, grown_mb = map(int, done.stdout.split())
    assert refused == thrown
    assert grown_mb < 8


def test_the_header_is_of_the_bytes_and_not_of_what_follows() -> None:
    data = png(40, 30)

    assert pictures.header(data + b"\xff" * 100) == pictures.header(data)
