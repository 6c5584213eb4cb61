"""How many tokens a request is expected to use."""

from gateway.expected import (
    FILE_TOKENS,
    IMAGE_TOKENS,
    OUTPUT_TOKENS,
    tokens_expected,
    tokens_stated,
)
from gateway.ir.request import File, Image, Media, Message, Part, Request, Text, ToolResult
from tests.gateway.routing.offers import candidate

LARGE = candidate(window=1_000_000)


def request(*parts: Part, max_tokens: int | None = 100, n: int = 1) -> Request:
    return Request(
        model="a/one",
        messages=(Message(role="user", parts=parts),),
        max_tokens=max_tokens,
        n=n,
        stream=False,
    )


def expected(asked: Request, body_bytes: int) -> int:
    return tokens_expected(asked, LARGE, body_bytes=body_bytes)


def test_text_is_a_quarter_of_its_bytes_and_the_output_what_the_client_says() -> None:
    assert expected(request(Text(text="Hi.")), 4_000) == 1_000 + 100
    assert expected(request(Text(text="Hi."), n=3), 4_000) == 1_000 + 300


def test_where_the_client_does_not_say_the_output_is_what_most_answers_are_below() -> None:
    short = LARGE.model.max_output_tokens
    assert expected(request(max_tokens=None), 0) == min(short, OUTPUT_TOKENS)
    assert tokens_stated(request(max_tokens=None)) == 0
    assert tokens_stated(request(max_tokens=7, n=2)) == 14


def test_an_image_is_worth_its_tokens_and_not_its_bytes() -> None:
    megabyte = Image(source=Media(data="A" * 1_000_000, media_type="image/png"))
    data_url = Image(source=Media(url="data:image/png;base64," + "A" * 1_000_000))
    for image in (megabyte, data_url):
        assert expected(request(image), 1_004_000) < 1_100 + IMAGE_TOKENS + 1
        inside = ToolResult(call_id="call_1", parts=(image,))
        assert expected(request(inside), 1_004_000) < 1_100 + IMAGE_TOKENS + 1


def test_a_file_given_as_text_counts_as_text() -> None:
    as_text = File(source=Media(), text="words " * 1_000)
    encoded = File(source=Media(data="A" * 400_000, media_type="application/pdf"))

    assert expected(request(as_text), 6_400) == 1_600 + 100
    assert expected(request(encoded), 400_400) == 100 + FILE_TOKENS + 100


def test_no_input_is_larger_than_the_window() -> None:
    assert tokens_expected(request(), candidate(window=2_000), body_bytes=10**7) == 2_000 + 100
