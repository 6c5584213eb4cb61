"""CORS: who may read, what of it, and never a page that lives by cookies."""

import re
from pathlib import Path

import pytest

from ccapi.guard.cors import EXPOSED
from tests.guard.asgi_calls import Answered, Recording, call, guard, scope

ROOT = Path(__file__).resolve().parents[2]
PAGE = (b"origin", b"https://app.example.com")
ASKS = (b"access-control-request-method", b"POST")
WANTS = (b"access-control-request-headers", b"authorization,x-stainless-lang")


def asked(path: str, *headers: tuple[bytes, bytes], origins: list[str], method: str) -> Answered:
    answer = call(guard(Recording(), cors_origins=origins), scope(path, *headers, method=method))
    assert answer is not None
    return answer


def test_a_preflight_of_a_page_on_the_list_is_answered_here() -> None:
    answer = asked(
        "/v1/messages", PAGE, ASKS, WANTS, origins=["https://app.example.com"], method="OPTIONS"
    )

    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert answer.headers["access-control-allow-headers"] == "authorization,x-stainless-lang"
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert answer.headers["vary"] == "Origin"


def test_answers_and_refusals_can_be_read_by_the_page() -> None:
    origins = ["https://app.example.com"]

    passed = asked("/models", PAGE, origins=origins, method="GET")
    refused = asked("/models//", PAGE, origins=origins, method="GET")

    assert (passed.status, refused.status) == (200, 400)
    for answer in (passed, refused):
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
        assert "x-request-id" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers


def test_a_star_is_told_as_one() -> None:
    answer = asked("/models", PAGE, origins=["*"], method="GET")

    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("path", "origin", "origins"),
    [
        ("/models", b"https://app.example.com", []),
        ("/models", b"https://evil.com", ["https://app.example.com"]),
        ("/models", b"https://app.example.com.evil.com", ["https://app.example.com"]),
        ("/models", b"http://app.example.com", ["https://app.example.com"]),
        ("/models", b"null", ["https://app.example.com"]),
        ("/admin/", b"https://app.example.com", ["*"]),
        ("/admin", b"https://app.example.com", ["https://app.example.com"]),
        ("/portal/keys", b"https://app.example.com", ["*"]),
    ],
)
def test_nobody_else_is_told_anything(path: str, origin: bytes, origins: list[str]) -> None:
    for method in ("GET", "OPTIONS"):
        answer = asked(path, (b"origin", origin), ASKS, WANTS, origins=origins, method=method)

        assert answer.status == 200, "it reaches the application as any request does"
        assert not any(name.startswith("access-control-") for name in answer.headers)


def test_every_header_of_ours_can_be_read_by_a_page() -> None:
    named = re.compile(r"[\"'](x-(?:ccapi|ratelimit)-[a-z-]+[a-z])[\"']")
    found = {
        name
        for app in ("ccapi", "accounts", "catalog", "billing", "gateway")
        for source in (ROOT / app).rglob("*.py")
        for name in named.findall(source.read_text())
    }

    assert "x-ccapi-generation-id" in found
    assert found <= {name.decode() for name in EXPOSED}
