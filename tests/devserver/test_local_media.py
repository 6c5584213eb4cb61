"""The local voice and pictures, for real: what they make is played and looked at."""

import base64
import importlib.util
import io
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import numpy as np
import openai
import pytest
import soundfile
from PIL import Image

from ccapi.devserver import processes
from tests.devserver.product import ROOT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hibari") is None,
    reason="the local voice is not installed (requirements/local.txt)",
)

TEXT = "The quick brown fox jumps over the lazy dog."
LONG = f"{TEXT} She sells sea shells by the sea shore. " * 6


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    port = processes.free_port()
    # A proxy that leads nowhere: it must need no network at all.
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    process = processes.spawn(
        [sys.executable, "-m", "ccapi.devserver.local_media", "--port", str(port)],
        environment={**os.environ, **nowhere},
        folder=ROOT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        processes.wait_until(
            lambda: processes.answers(f"{address}/health"),
            process=process,
            name="the local voice and pictures",
            timeout_s=60,
            log=None,
        )
        yield address
    finally:
        went = processes.stop(process, signal.SIGTERM, 5)
    assert went
    assert process.returncode == 0


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0, timeout=60) as made:
        yield made


def say(client: openai.OpenAI, kind: str, text: str = TEXT, **more: object) -> bytes:
    answer = client.audio.speech.create(
        model="hibari-heart",
        voice="heart",
        input=text,
        extra_body={"response_format": kind, **more},
    )
    return answer.content


def played(audio: bytes) -> tuple[float, str, int]:
    with soundfile.SoundFile(io.BytesIO(audio)) as file:
        samples = file.read()
        assert np.abs(samples).max() > 0.1, "silence"
        assert file.channels == 1
        return len(samples) / file.samplerate, f"{file.format}/{file.subtype}", file.samplerate


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("mp3", "MP3/MPEG_LAYER_III"),
        ("opus", "OGG/OPUS"),
        ("ogg", "OGG/VORBIS"),
        ("flac", "FLAC/PCM_16"),
        ("wav", "WAV/PCM_16"),
    ],
)
def test_a_text_is_spoken_in_each_format(client: openai.OpenAI, kind: str, written: str) -> None:
    seconds, found, rate = played(say(client, kind, LONG))
    samples = np.frombuffer(say(client, "pcm", LONG), "<i2")

    assert found == written
    assert rate == 24_000
    assert seconds == pytest.approx(len(samples) / 24_000, abs=0.1)
    assert 20 < seconds < 60


def test_the_first_sentence_is_heard_before_the_last_is_made(client: openai.OpenAI) -> None:
    say(client, "pcm")  # the model is loaded now
    since = time.monotonic()
    answer = client.audio.speech.with_streaming_response.create(
        model="hibari-heart", voice="heart", input=LONG * 4, response_format="pcm"
    )
    with answer as stream:
        pieces = stream.iter_bytes()
        next(pieces)
        first = time.monotonic() - since
        rest = sum(map(len, pieces))

    assert rest > 100_000
    assert first < (time.monotonic() - since) / 2


def test_speed_is_heard(client: openai.OpenAI) -> None:
    slow, fast = (len(say(client, "pcm", speed=speed)) for speed in (0.7, 1.6))

    assert slow > 1.5 * fast


def test_a_picture_is_a_png_of_the_size_asked_for_that_says_what_it_is(
    client: openai.OpenAI,
) -> None:
    made = client.images.generate(model="abstract-1", prompt="A cat", n=2, size="256x256")
    again = client.images.generate(
        model="abstract-1", prompt="A cat", size="256x256", extra_body={"seed": 7}
    )
    same = client.images.generate(
        model="abstract-1", prompt="A cat", size="256x256", extra_body={"seed": 7}
    )

    assert made.data is not None
    assert again.data is not None
    assert same.data is not None
    pictures = [base64.b64decode(each.b64_json or "") for each in (*made.data, *again.data)]
    assert len(set(pictures)) == 3
    assert base64.b64decode(same.data[0].b64_json or "") == pictures[2]
    for data in pictures:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert (image.format, image.size, image.mode) == ("PNG", (256, 256), "RGB")
            assert len(image.getcolors(256 * 256) or ()) > 1000
    told = made.data[0].revised_prompt or ""
    assert "does not depict" in told
    assert "A cat" in told


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("audio/speech", {"voice": "alloy"}, "voice"),
        ("audio/speech", {"response_format": "aac"}, "response_format"),
        ("audio/speech", {"speed": 9}, "speed"),
        ("audio/speech", {"input": " "}, "input"),
        ("audio/speech", {"input": "😀"}, "input"),
        ("audio/speech", {"input": "a" * 5000}, "input"),
        ("images/generations", {"size": "9000x9000"}, "size"),
        ("images/generations", {"n": 99}, "n"),
        ("images/generations", {"response_format": "url"}, "response_format"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(
    url: str, path: str, body: dict[str, object], param: str
) -> None:
    usual: dict[str, object] = {"model": "hibari-heart", "voice": "heart", "input": TEXT}
    if path.startswith("images"):
        usual = {"model": "abstract-1", "prompt": "A cat"}
    status, told = ask(f"{url}/v1/{path}", {**usual, **body})

    assert status == 400
    assert told["error"]["param"] == param


def ask(url: str, body: object) -> tuple[int, dict[str, dict[str, str]]]:
    request = urllib.request.Request(  # noqa: S310 - loopback
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_more_than_wait_for_their_turn_are_told_to_come_again(url: str) -> None:
    statuses: list[int] = []

    def draw() -> None:
        body = {"model": "abstract-1", "prompt": "A crowd", "size": "256x256"}
        statuses.append(ask(f"{url}/v1/images/generations", body)[0])

    crowd = [threading.Thread(target=draw) for _ in range(24)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join(60)

    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 16


def test_it_listens_on_loopback_alone(url: str) -> None:
    outward = socket.gethostbyname(socket.gethostname())
    if outward.startswith("127."):
        pytest.skip("this machine has no address but loopback")

    with socket.socket() as client:
        client.settimeout(2)
        refused = client.connect_ex((outward, int(url.rpartition(":")[2])))

    assert refused != 0
