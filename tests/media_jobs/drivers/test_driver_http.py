"""One call to a provider: whole, capped, in time; and whether an order may have got through."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from media_jobs.drivers import http
from media_jobs.drivers.base import DriverFailed
from tests.fakes.steps import CLOSE, RESET, SILENCE, Close, Script, Send, reply
from tests.fakes.upstream import Upstream, closed_port
from tests.fakes.vendors import png
from tests.media_jobs.drivers.targets import run, target


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def call(base_url: str, *, seconds: float = 2.0) -> http.Answer:
    asked = target(base_url, "m", key="secret-key-1")
    return run(
        http.call(
            asked, "POST", "/make", default_auth="bearer", json={"prompt": "x"}, seconds=seconds
        )
    )


def failure(base_url: str, *, seconds: float = 2.0) -> DriverFailed:
    with pytest.raises(DriverFailed) as caught:
        call(base_url, seconds=seconds)
    return caught.value


def test_an_answer_comes_whole_with_our_key_on_the_request(upstream: Upstream) -> None:
    upstream.on(None, reply(200, b"abc", headers={"X-Request-Id": "r1", "set-cookie": "a=b"}))

    answer = call(upstream.url + "/v1")
    call(upstream.url + "/v1")

    assert (answer.status, answer.body, answer.headers["x-request-id"]) == (200, b"abc", "r1")
    sent = upstream.requests[1]
    assert sent.path == "/v1/make"
    assert sent.headers["authorization"] == "Bearer secret-key-1"
    assert sent.headers["accept-encoding"] == "identity"
    assert "cookie" not in sent.headers


def test_an_error_answer_is_an_answer_without_our_key_in_it(upstream: Upstream) -> None:
    upstream.on(None, reply(401, b"Incorrect key secret-key-1!"))

    answer = call(upstream.url)

    assert (answer.status, answer.body) == (401, b"Incorrect key [redacted]!")


def test_redirects_are_not_followed(upstream: Upstream) -> None:
    upstream.on(None, reply(307, headers={"location": upstream.url + "/elsewhere"}))

    assert call(upstream.url).status == 307
    assert upstream.count() == 1


def test_proxies_of_the_environment_are_not_used(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    upstream.on(None, reply(200, b"direct"))

    assert call(upstream.url).body == b"direct"


def test_a_refused_connection_is_known_not_to_have_ordered_anything() -> None:
    with closed_port() as dead:
        failed = failure(dead)

    assert not failed.is_unknown
    assert not failed.connected
    assert failed.as_attempt().connected is False
    assert failed.failure.kind == "server"


@pytest.mark.parametrize(
    ("script", "kind", "unknown"),
    [
        (SILENCE, "timeout", True),
        (CLOSE, "server", True),
        (RESET, "server", True),
        (reply(200, b"x" * 1000, cut_after=10), "server", True),
        (reply(200, b"x" * 1000, cut_after=10, ending=SILENCE), "timeout", True),
        (reply(500, b"x" * 1000, cut_after=10), "server", False),
        (reply(200, b"x", content_length=1000), "timeout", True),
    ],
)
def test_whether_an_order_may_have_got_through_is_told(
    upstream: Upstream, script: Script, kind: str, *, unknown: bool
) -> None:
    upstream.on(None, script)

    failed = failure(upstream.url, seconds=0.4)

    assert failed.failure.kind == kind
    assert failed.is_unknown is unknown
    assert failed.connected
    assert upstream.count() == 1  # never asked twice


def test_a_drip_of_bytes_does_not_outlast_the_deadline(upstream: Upstream) -> None:
    upstream.on(None, reply(200, (b"x" for _ in range(1000)), pace=0.05))

    assert failure(upstream.url, seconds=0.5).failure.kind == "timeout"


def test_an_answer_beyond_the_cap_is_cut(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "ANSWER_BYTES_MAX", 1000)
    monkeypatch.setattr(http, "ERROR_BYTES_MAX", 100)
    upstream.on(None, reply(200, b"x" * 5000), reply(400, b"y" * 5000))

    assert failure(upstream.url).failure.code == "too_large"
    assert len(call(upstream.url).body) == 100


def test_a_garbled_answer_is_a_failure(upstream: Upstream) -> None:
    upstream.on(None, (Send(b"\x00\x01 no http at all\r\n\r\n"), Close()))

    assert failure(upstream.url).failure.kind == "server"


def test_pictures_on_the_providers_own_origin_are_fetched_without_our_key(
    upstream: Upstream,
) -> None:
    upstream.on(None, reply(200, png(8, 8), media_type="image/png"))
    asked = target(upstream.url + "/v1", "m", key="secret-key-1")

    found = run(http.results(asked, [upstream.url + "/out/1.png"]))

    assert found == [png(8, 8)]
    assert "authorization" not in upstream.requests[0].headers


def test_pictures_elsewhere_go_through_the_guard(upstream: Upstream, settings: Settings) -> None:
    upstream.on(None, reply(200, png(8, 8), media_type="image/png"))
    asked = target("https://api.vendor.test/v1", "m", key="secret-key-1")
    link = upstream.url + "/out/1.png"

    with pytest.raises(DriverFailed) as caught:
        run(http.results(asked, [link]))
    settings.CCAPI_EGRESS_ALLOW = [upstream.url.removeprefix("http://")]
    found = run(http.results(asked, [link]))

    assert not caught.value.is_unknown
    assert found == [png(8, 8)]
    assert upstream.count() == 1
    assert "authorization" not in upstream.requests[0].headers


def test_a_picture_that_stumbles_is_fetched_again_and_one_that_is_gone_is_left(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "RESULT_PAUSE_S", 0.0)
    upstream.on(None, reply(503), reply(200, png(8, 8)), reply(404))
    asked = target(upstream.url, "m")

    assert run(http.results(asked, [upstream.url + "/1.png"])) == [png(8, 8)]
    with pytest.raises(DriverFailed) as caught:
        run(http.results(asked, [upstream.url + "/2.png"]))
    assert caught.value.is_unknown  # it may be asked for again
