"""The fake upstream does to a client what its script says, and nothing else."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import msgspec
import openai
import pytest

from tests.fakes.steps import CLOSE, RESET, SILENCE, Script, Send, Wait, reply, stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI, answer, body, error, error_frame, frames
from tests.fakes.upstream import Upstream, closed_port

ROOT = Path(__file__).parents[2]
FRAMES = frames(OPENAI, answer("one two three"))
WHOLE = b"".join(FRAMES)


def post(upstream: Upstream, model: str = "m", timeout: float = 5.0) -> httpx2.Response:
    return httpx2.post(
        f"{upstream.url}/v1/chat/completions",
        json={"model": model},
        trust_env=False,
        timeout=timeout,
    )


def test_requests_are_recorded_and_counted_by_model() -> None:
    with Upstream(reply(200, b"{}")) as upstream:
        post(upstream, "a")
        post(upstream, "b")

        first = upstream.requests[0]
        assert (first.method, first.path) == ("POST", "/v1/chat/completions")
        assert first.headers["content-type"] == "application/json"
        assert first.json() == {"model": "a"}
        assert (upstream.count(), upstream.count("b"), upstream.count("c")) == (2, 1, 0)


def test_scripts_are_taken_in_order_and_the_last_one_stays() -> None:
    with Upstream().on("a", reply(500), reply(429), reply(200)).on(None, reply(404)) as upstream:
        statuses = [post(upstream, "a").status_code for _ in range(4)]

        assert statuses == [500, 429, 200, 200]
        assert post(upstream, "b").status_code == 404


def test_a_request_without_a_script_is_told_so() -> None:
    with Upstream() as upstream:
        assert post(upstream).status_code == 599


def test_a_connection_carries_many_requests_and_chunked_ones_too() -> None:
    with Upstream(reply(200, b"{}")) as upstream, httpx2.Client(trust_env=False) as client:
        for _ in range(3):
            client.post(upstream.url, content=iter([b'{"mod', b'el": "x"}']))

        assert upstream.count("x") == 3
        assert upstream.connections == 1


@pytest.mark.parametrize(
    "script",
    [
        stream(FRAMES),
        stream(FRAMES, piece_bytes=1),
        stream(FRAMES, piece_bytes=7, framing="length"),
        stream(FRAMES, framing="close"),
    ],
)
def test_a_stream_arrives_whole_however_it_is_framed_and_split(script: Script) -> None:
    with Upstream(script) as upstream:
        assert post(upstream).content == WHOLE


def test_a_stream_may_end_its_lines_as_windows_does() -> None:
    with Upstream(stream(FRAMES, crlf=True)) as upstream:
        assert post(upstream).content == WHOLE.replace(b"\n", b"\r\n")


@pytest.mark.parametrize("framing", ["chunked", "length"])
@pytest.mark.parametrize("ending", [CLOSE, RESET])
def test_a_cut_stream_gives_its_first_bytes_and_then_breaks(framing: str, ending: Script) -> None:
    script = (
        stream(FRAMES, framing="chunked", cut_after=100, ending=ending)
        if framing == "chunked"
        else stream(FRAMES, framing="length", cut_after=100, ending=ending)
    )
    got: list[bytes] = []

    def read(url: str) -> None:
        with httpx2.stream("POST", url, json={}, trust_env=False) as answered:
            for piece in answered.iter_raw():
                got.append(piece)

    with (
        Upstream(script) as upstream,
        pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)) as raised,
    ):
        read(upstream.url)

    assert b"".join(got) == WHOLE[:100]
    assert isinstance(raised.value, httpx2.ReadError) == (ending == RESET)


def test_a_cut_stream_framed_by_its_close_looks_like_a_clean_end() -> None:
    with Upstream(stream(FRAMES, framing="close", cut_after=100)) as upstream:
        assert post(upstream).content == WHOLE[:100]


def test_a_length_may_be_a_lie() -> None:
    script = reply(200, b"{}", content_length=3) + CLOSE
    with Upstream(script) as upstream, pytest.raises(httpx2.RemoteProtocolError):
        post(upstream)


@pytest.mark.parametrize(
    "script", [SILENCE, stream(FRAMES, cut_after=100, ending=SILENCE), reply(first_byte_s=9.0)]
)
def test_silence_lasts_until_the_client_leaves_which_is_noticed(script: Script) -> None:
    with Upstream(script) as upstream:
        with pytest.raises(httpx2.ReadTimeout):
            post(upstream, timeout=0.2)

        upstream.wait_until(lambda up: up.hangups == 1 and up.connections == 0)


def test_pieces_are_paced() -> None:
    started = time.monotonic()

    with Upstream(stream(FRAMES, pace=0.02)) as upstream:
        assert post(upstream).content == WHOLE

    assert time.monotonic() - started >= 0.02 * (len(FRAMES) - 1)


@pytest.mark.parametrize("script", [(Send(b"\x00\x01garbage\r\n\r\n"), *CLOSE), CLOSE])
def test_what_is_not_http_is_a_protocol_error(script: Script) -> None:
    with Upstream(script) as upstream, pytest.raises(httpx2.RemoteProtocolError):
        post(upstream)


def test_a_listener_can_refuse_and_come_back_at_the_same_address() -> None:
    with Upstream(reply(200)) as upstream:
        url = upstream.url
        upstream.refuse()
        with pytest.raises(httpx2.ConnectError):
            post(upstream)
        upstream.accept()

        assert post(upstream).status_code == 200
        assert upstream.url == url


def test_a_closed_port_refuses() -> None:
    with closed_port() as url, pytest.raises(httpx2.ConnectError):
        httpx2.get(url, trust_env=False)


def test_nothing_is_left_when_a_test_fails_with_a_stream_open() -> None:
    def failing_test() -> str:
        with Upstream((Wait(60.0),)) as upstream:
            thread = threading.Thread(target=swallow, args=(lambda: post(upstream),))
            thread.start()
            upstream.wait_until(lambda up: up.count() == 1)
            urls.append(upstream.url)
            raise ZeroDivisionError

    urls: list[str] = []
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError):
        failing_test()

    left = set(threading.enumerate()) - before
    assert "upstream" not in {thread.name for thread in left}
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(urls[0], trust_env=False)


def swallow(work: Callable[[], object]) -> None:
    try:
        work()
    except httpx2.HTTPError:
        return


def test_as_a_process_it_takes_scripts_tells_its_requests_and_ends_with_its_input() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.upstream"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdin is not None
            url = process.stdout.readline().strip()
            order = msgspec.json.encode({"model": "m", "scripts": [reply(418, b"tea")]})
            with httpx2.Client(base_url=url, trust_env=False) as client:
                assert client.post("/__scripts__", content=order).status_code == 204
                assert client.post("/v1/x", json={"model": "m"}).text == "tea"
                told = client.request("DELETE", "/__requests__").json()
                assert [request["path"] for request in told] == ["/v1/x"]
                assert client.get("/__requests__").json() == []
            process.stdin.close()
            assert process.wait(timeout=5) == 0
        finally:
            process.kill()


def test_a_transcript_is_understood_by_the_vendors_sdk() -> None:
    said = answer("Let me see.", calls=[("look", '{"at": 1}')], usage=(7, 9))
    with Upstream(reply(200, body(OPENAI, said, "m"))) as upstream:
        client = openai.OpenAI(base_url=upstream.url, api_key="k", max_retries=0)
        got = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])

    call = (got.choices[0].message.tool_calls or [])[0]
    assert got.usage is not None
    assert (call.type, got.usage.prompt_tokens, got.usage.completion_tokens) == ("function", 7, 9)


def test_transcripts_of_errors_have_the_vendors_status_and_shape() -> None:
    assert error(ANTHROPIC, "overloaded")[0] == 529
    assert error_frame(ANTHROPIC, "overloaded").startswith(b"event: error\ndata: {")
    assert error_frame(OPENAI, "server").startswith(b'data: {"error":{')


def test_the_port_is_free_again_afterwards() -> None:
    with Upstream(reply(200)) as upstream:
        host, port = upstream.url.removeprefix("http://").split(":")
        post(upstream)

    with socket.create_server((host, int(port))):
        assert True
