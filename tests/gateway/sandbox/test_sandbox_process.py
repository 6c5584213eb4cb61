"""The sandbox as a process: where it listens, how it ends, what it refuses."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.fakes.sandbox import sandbox

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with sandbox() as url:
        yield url


def get(url: str) -> httpx2.Response:
    return httpx2.get(url, trust_env=False)


def test_healthz_answers(url: str) -> None:
    assert (get(f"{url}/healthz").status_code, get(f"{url}/healthz").text) == (200, "ok")


def test_other_routes_and_methods_are_not_found(url: str) -> None:
    assert get(f"{url}/v1/chat/completions").status_code == 404
    assert get(f"{url}/elsewhere").json()["error"]["message"] == "Invalid URL (GET /elsewhere)"


def test_chat_completions_answers_with_and_without_v1(url: str) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}

    for path in ("/v1/chat/completions", "/chat/completions"):
        answer = httpx2.post(url + path, json=body, trust_env=False)
        assert answer.json()["choices"][0]["message"]["content"] == "hi"


@pytest.mark.parametrize("body", [b"", b"{", b'{"model": "\xff"}', b'"\\ud800"', b"[" * 5000])
def test_a_body_that_is_no_json_object_is_a_400(url: str, body: bytes) -> None:
    version = {"anthropic-version": "2023-06-01"}

    for path in ("/v1/chat/completions", "/v1/messages"):
        answer = httpx2.post(url + path, content=body, headers=version, trust_env=False)
        assert (answer.status_code, "error" in answer.json()) == (400, True)


def test_an_inherited_socket_is_served_and_sigterm_ends_a_stalled_stream_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, "-m", "gateway.sandbox", "--fd", str(listener.fileno())]
        with subprocess.Popen(
            command, cwd=ROOT, pass_fds=[listener.fileno()], stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                body = {
                    "model": "stall",
                    "stream": True,
                    "messages": [{"role": "user", "content": "x"}],
                }
                with httpx2.stream(
                    "POST", f"{url}/v1/chat/completions", json=body, trust_env=False, timeout=30
                ) as answer:
                    next(answer.iter_lines())
                    started = time.monotonic()
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(timeout=5) == 0
                    assert time.monotonic() - started < 2
                assert process.stderr is not None
                assert process.stderr.read() == ""
            finally:
                process.kill()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_200_may_hold_an_error_or_what_is_not_json(url: str, path: str) -> None:
    def ask(model: str) -> httpx2.Response:
        return httpx2.post(
            url + path,
            json={"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
            headers={"anthropic-version": "2023-06-01"},
            trust_env=False,
        )

    failed, garbled = ask("error-midstream"), ask("garbled")

    assert failed.status_code == 200
    assert "overloaded" in failed.json()["error"]["message"].lower()
    assert garbled.status_code == 200
    with pytest.raises(ValueError, match=r"JSON|char"):
        garbled.json()


def test_a_body_over_the_limit_is_a_413(url: str) -> None:
    body = b" " * (32 * 1024 * 1024 + 1)

    answer = httpx2.post(f"{url}/v1/chat/completions", content=body, trust_env=False, timeout=30)

    assert answer.status_code == 413
