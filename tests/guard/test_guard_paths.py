"""Paths that can be read in one way only."""

import pytest

from ccapi.core.errors import InvalidRequest
from ccapi.guard.paths import check_path, check_query


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/v1/chat/completions",
        b"/team-a/v1/messages",
        b"/v1beta/models/gemini-2.5-flash:streamGenerateContent",
        b"/models/openai/gpt-4o-mini",
        b"/models/openai%2Fgpt-4o-mini",
        b"/v1/models/llama3%3a8b",
        b"/team-a/v1/models/a%2Fb",
        b"/v1/models/workers/@cf/meta/llama-3",
        b"/v1/models/a%2Fb.c:free",
        b"/.well-known/security.txt",
        b"/static/admin/css/base.ab12.css",
        b"/admin/accounts/user/1/change/",
        b"/v1/models/gpt-3.5..turbo",
    ],
)
def test_a_path_of_ours_passes(path: bytes) -> None:
    check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"*",
        b"models",
        b"//models",
        b"/v1//models",
        b"/v1/../admin/",
        b"/v1/./models",
        b"/v1/..",
        b"/.",
        b"/v1/models/a%2F..%2F..%2Fadmin",
        b"/v1/models/..%2fadmin",
        b"/v1/models/%2F",
        b"/v1/models/a%2F%2Fb",
        b"/v1%2fadmin",
        b"/%76%31/models",
        b"/v1/models%2Fa",
        b"/models/%2e%2e/admin",
        b"/models/a%252Fb",
        b"/models/a%00",
        b"/models/a%0d%0aX:1",
        b"/models/a%ff",
        b"/models/a%2",
        b"/models/a%",
        b"/generations/gen%2F1",
        b"/admin/models/a%2Fb",
        b"/a/b/models/a%2Fb",
        b"/v1/models/a b",
        b"/v1/models/a\\b",
        b"/v1/models/a;b",
        b"/v1/models/a\x00",
        b"/v1/models/\xc3\xa9",
        b"/models\n",
        b"/" + b"a" * 2048,
    ],
)
def test_a_path_that_could_be_read_otherwise_is_refused(path: bytes) -> None:
    with pytest.raises(InvalidRequest):
        check_path(path)


@pytest.mark.parametrize("query", [b"", b"key=sk-cc-1&a=b%20c", b"from=2026-01-01T00:00:00%2B00"])
def test_a_query_of_printable_ascii_passes(query: bytes) -> None:
    check_query(query)


@pytest.mark.parametrize("query", [b"a=%00", b"a=\x00", b"a=\x7f", b"a=\xff", b"a b", b"a" * 8193])
def test_any_other_query_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest):
        check_query(query)
