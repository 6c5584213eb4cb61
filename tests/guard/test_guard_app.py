"""The guard around an application: what reaches it, what does not, what every answer carries."""

from typing import Any

import pytest

from ccapi.core.lane import Receive, Send
from tests.guard.asgi_calls import Recording, call, guard, scope


def test_a_request_within_the_rules_reaches_the_application_untouched() -> None:
    app = Recording()
    asked = scope("/v1/messages", (b"content-length", b"5"), method="POST")

    answer = call(guard(app), asked, b"hello")

    assert app.scopes == [asked]
    assert app.body == b"hello"
    assert answer is not None
    assert answer.status == 200


def test_every_answer_has_a_request_id_and_is_stored_nowhere() -> None:
    passed = call(guard(Recording()), scope())
    refused = call(guard(Recording()), scope("//"))

    for answer in (passed, refused):
        assert answer is not None
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["cache-control"] == "no-store"


def test_what_the_application_says_of_itself_stands() -> None:
    async def app(_scope: dict[str, Any], _receive: Receive, send: Send) -> None:
        # Django's names are not in lower case.
        told = [(b"X-Request-Id", b"req_own"), (b"Cache-Control", b"max-age=60")]
        await send({"type": "http.response.start", "status": 200, "headers": told})
        await send({"type": "http.response.body", "body": b""})

    answer = call(guard(app), scope())

    assert answer is not None
    assert answer.headers == {"X-Request-Id": "req_own", "Cache-Control": "max-age=60"}


def test_a_declared_body_over_the_limit_is_refused_without_reading_it() -> None:
    app = Recording()

    answer = call(guard(app), scope("/models", (b"content-length", b"101"), method="POST"))

    assert answer is not None
    assert (answer.status, answer.error()["code"]) == (413, "request_too_large")
    assert app.scopes == []


def test_the_limit_is_that_of_the_path() -> None:
    app = Recording()
    wide = guard(app, body_bytes_max=lambda path: 1000 if path == "/wide" else 10)

    on_wide = call(wide, scope("/wide", (b"content-length", b"500"), method="POST"), b"x" * 500)
    on_other = call(wide, scope("/other", (b"content-length", b"500"), method="POST"))

    assert on_wide is not None
    assert on_other is not None
    assert (on_wide.status, on_other.status) == (200, 413)


def test_a_chunked_body_is_counted_and_cut_at_the_limit() -> None:
    app = Recording()
    asked = scope("/models", (b"transfer-encoding", b"chunked"), method="POST")

    answer = call(guard(app), asked, *[b"x" * 30] * 1000)

    assert answer is not None
    assert (answer.status, answer.error()["code"]) == (413, "request_too_large")
    assert len(app.body) <= 100
    assert app.gone


def test_a_chunked_body_of_exactly_the_limit_passes() -> None:
    app = Recording()
    asked = scope("/models", (b"transfer-encoding", b"chunked"), method="POST")

    answer = call(guard(app), asked, b"x" * 50, b"x" * 50)

    assert answer is not None
    assert (answer.status, len(app.body)) == (200, 100)


def test_trailers_that_a_server_adds_later_do_not_become_headers() -> None:
    app = Recording()
    asked = scope("/models", (b"transfer-encoding", b"chunked"), method="POST")
    theirs = asked["headers"]

    call(guard(app), asked, b"x")
    theirs.append((b"authorization", b"Bearer of-a-trailer"))

    assert (b"authorization", b"Bearer of-a-trailer") not in app.scopes[0]["headers"]


def test_a_crash_before_the_answer_is_a_500_with_a_request_id_and_no_detail() -> None:
    async def app(_scope: dict[str, Any], _receive: Receive, _send: Send) -> None:
        raise RuntimeError("a secret")

    answer = call(guard(app), scope())

    assert answer is not None
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert answer.error()["details"]["request_id"] == answer.headers["x-request-id"]


def test_a_crash_in_the_middle_of_an_answer_is_left_to_the_server_to_cut() -> None:
    async def app(_scope: dict[str, Any], _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        call(guard(app), scope())


def test_probes_need_no_host_of_ours() -> None:
    by_address = scope("/livez", headers=[(b"host", b"10.1.2.3:8000")])
    other = scope("/models", headers=[(b"host", b"10.1.2.3:8000")])

    probed, refused = call(guard(Recording()), by_address), call(guard(Recording()), other)

    assert probed is not None
    assert refused is not None
    assert (probed.status, refused.status) == (200, 400)


def test_what_is_no_http_passes() -> None:
    seen: list[str] = []

    async def app(asked: dict[str, Any], _receive: Receive, _send: Send) -> None:
        seen.append(asked["type"])

    assert call(guard(app), {"type": "lifespan"}) is None
    assert seen == ["lifespan"]
