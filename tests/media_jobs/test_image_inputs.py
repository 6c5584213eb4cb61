"""Input pictures by URL and in base64: fetched through the guard, checked, refused by place."""

import asyncio
import base64
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from ccapi.core.errors import InvalidParameter
from media_jobs import inputs, pictures
from media_jobs.reading import Asked
from media_jobs.types import ImageRequest, Reference
from tests.fakes.steps import SILENCE, reply
from tests.fakes.upstream import Upstream
from tests.fakes.vendors import png
from tests.media_jobs import bombs


def asked(*images: Reference, mask: Reference | None = None) -> Asked:
    return Asked(request=ImageRequest(models=("m",), prompt="a hare"), images=images, mask=mask)


def inline(data: bytes, *, at: int = 1, name: str = "image", media_type: str = "") -> Reference:
    text = base64.b64encode(data).decode()
    return Reference(at=f"contents[{at}].{name}", data=text, media_type=media_type)


def by_url(url: str) -> Reference:
    return Reference(at="contents[1].image", url=url)


def fetched(whole: Asked) -> ImageRequest:
    return asyncio.run(inputs.fetched(whole))


def refusal(whole: Asked) -> InvalidParameter:
    with pytest.raises(InvalidParameter) as caught:
        fetched(whole)
    return caught.value


@pytest.fixture
def host(settings: Settings) -> Iterator[Upstream]:
    with Upstream() as upstream:
        settings.CCAPI_EGRESS_ALLOW = [upstream.url.removeprefix("http://")]
        yield upstream


def test_a_request_without_pictures_is_as_it_was() -> None:
    whole = asked()

    assert fetched(whole) is whole.request


@pytest.mark.parametrize(
    "reference",
    [
        inline(png(20, 10)),
        inline(png(20, 10), media_type="image/png"),
        inline(png(20, 10), media_type="image/jpeg"),  # a wrong word is corrected
        inline(png(20, 10), media_type="application/octet-stream"),
        Reference(
            at="contents[1].image",
            data="\n".join(base64.encodebytes(png(20, 10)).decode().split()),
        ),
        Reference(
            at="contents[1].image",
            data=base64.urlsafe_b64encode(png(20, 10)).decode().rstrip("="),
        ),
        Reference(
            at="contents[1].image",
            data="data:image/webp;base64," + base64.b64encode(png(20, 10)).decode(),
        ),
        Reference(
            at="contents[1].image",
            url="data:;base64," + base64.b64encode(png(20, 10)).decode(),
        ),
    ],
)
def test_base64_is_taken_in_every_usual_form(reference: Reference) -> None:
    picture = fetched(asked(reference)).images[0]

    assert picture.data == png(20, 10)
    assert (picture.media_type, picture.width, picture.height) == ("image/png", 20, 10)


@pytest.mark.parametrize(
    ("reference", "param", "words"),
    [
        (Reference(at="contents[1].image", data="not base64!"), "contents[1].image.data", "base64"),
        (Reference(at="contents[1].image", data="aGFsbG8="), "contents[1].image.data", "no PNG"),
        (Reference(at="contents[1].image", data="AAAA="), "contents[1].image.data", ""),
        (
            Reference(at="contents[1].image", url="data:image/png,hello"),
            "contents[1].image.url",
            "base64",
        ),
        (
            Reference(at="contents[1].image", url="data:image/png"),
            "contents[1].image.url",
            "data URL",
        ),
        (
            inline(png(20, 10), media_type="text/html"),
            "contents[1].image.mime_type",
            "must be an image",
        ),
        (inline(png(64, 64)[:-40], at=3), "contents[3].image.data", "cut short"),
        (inline(bombs.animated_gif(3000)), "contents[1].image.data", "animated"),
        (inline(bombs.huge_png(60_000, 60_000)), "contents[1].image.data", "pixels"),
    ],
)
def test_what_is_no_picture_is_refused_at_its_place(
    reference: Reference, param: str, words: str
) -> None:
    error = refusal(asked(reference))

    assert error.param == param
    assert words in error.message


def test_a_picture_that_kills_its_decoder_is_refused_at_its_place() -> None:
    """And no other: the one beside it is taken."""
    fetched(asked(inline(png(20, 10))))
    keeper = pictures.keeper_pid()
    assert keeper is not None
    children = Path(f"/proc/{keeper}/task/{keeper}/children")

    def wait_for(*, some: bool) -> list[str]:
        until = time.monotonic() + 10
        while bool(found := children.read_text().split()) != some:
            assert time.monotonic() < until
        return found

    async def beside() -> InvalidParameter:
        await asyncio.to_thread(wait_for, some=False)
        deadly = asyncio.ensure_future(inputs.fetched(asked(inline(bombs.slow_jpeg(6300, 250)))))
        [cell] = await asyncio.to_thread(wait_for, some=True)
        await asyncio.sleep(0.2)  # by then it is in its midst
        assert (await inputs.fetched(asked(inline(png(20, 10))))).images[0].width == 20
        os.kill(int(cell), signal.SIGSEGV)
        with pytest.raises(InvalidParameter) as caught:
            await deadly
        return caught.value

    error = asyncio.run(beside())

    assert error.param == "contents[1].image.data"
    assert error.message == "'contents[1].image' cannot be used: it cannot be decoded."
    assert fetched(asked(inline(png(20, 10)))).images[0].width == 20


def test_a_picture_above_the_cap_is_refused_before_it_is_decoded() -> None:
    text = "A" * (inputs.BYTES_MAX // 3 * 4 + 4_000_000)

    error = refusal(asked(Reference(at="contents[1].image", data=text)))

    assert "larger" in error.message


def test_all_pictures_together_have_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    one = inline(bombs.plain("PNG") + bytes(4000))
    monkeypatch.setattr(inputs, "BYTES_TOTAL_MAX", 10_000)

    assert len(fetched(asked(one, one)).images) == 2
    error = refusal(asked(one, one, one))

    assert "in all" in error.message


def test_a_picture_by_url_is_fetched(host: Upstream) -> None:
    host.on(None, reply(200, png(30, 20), media_type="application/octet-stream"))

    picture = fetched(asked(by_url(host.url + "/a.png"))).images[0]

    assert (picture.media_type, picture.width) == ("image/png", 30)
    assert host.requests[0].path == "/a.png"


@pytest.mark.parametrize(
    ("status", "words"), [(404, "404"), (302, "redirects"), (500, "500"), (204, "204")]
)
def test_a_host_that_does_not_give_the_picture_is_told(
    host: Upstream, status: int, words: str
) -> None:
    host.on(None, reply(status, headers={"location": "http://169.254.169.254/"}))

    error = refusal(asked(by_url(host.url + "/a.png")))

    assert error.param == "contents[1].image.url"
    assert words in error.message


def test_a_page_in_place_of_a_picture_is_refused(host: Upstream) -> None:
    host.on(None, reply(200, b"<html>", media_type="image/png"))

    assert "no PNG" in refusal(asked(by_url(host.url))).message


def test_a_download_without_end_is_cut(host: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "BYTES_MAX", 50_000)
    host.on(None, reply(200, (b"x" * 10_000 for _ in range(50))))

    assert "more than" in refusal(asked(by_url(host.url))).message


def test_a_silent_host_is_given_up(host: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "FETCH_S", 0.3)
    host.on(None, SILENCE)

    assert "could not be fetched" in refusal(asked(by_url(host.url))).message


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png",
        "https://127.0.0.1/a.png",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/a.png",
        "https://100.64.0.1/a.png",
        "https://2130706433/a.png",
        "https://0x7f.1/a.png",
        "file:///etc/passwd",
        "gopher://a.test/",
        "https://user:pass@a.test/a.png",
    ],
)
def test_addresses_that_are_nobodys_business_are_refused(url: str) -> None:
    error = refusal(asked(by_url(url)))

    assert "may not be fetched" in error.message
    assert error.param == "contents[1].image.url"


def test_a_mask_must_be_as_large_as_its_picture() -> None:
    image = inline(png(20, 10))

    whole = fetched(asked(image, mask=inline(png(20, 10), at=2, name="mask")))
    error = refusal(asked(image, mask=inline(png(20, 11), at=2, name="mask")))

    assert whole.mask is not None
    assert len(whole.images) == 1
    assert error.param == "contents[2].mask"
