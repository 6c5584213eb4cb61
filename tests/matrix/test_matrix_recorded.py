"""Recorded exchanges through every client protocol: the same as the vendor's own SDK reads."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from gateway.protocols.base import GarbledStream
from gateway.protocols.registry import CODECS
from tests.matrix.passage import NAMES, forwarded, through, through_stream
from tests.matrix.readers import STREAMED, WHOLE, agree, same_for

Loose: TypeAlias = Any

# Names of protocols in the recordings, where they are not the codec's.
PROTOCOLS = {"openai-responses": "openai_responses"}


@cache
def recorded() -> tuple[dict[str, Loose], ...]:
    path = os.environ.get("CCAPI_EXCHANGES", "")
    if not path:
        return ()
    with Path(path).open(encoding="utf-8") as lines:
        return tuple(json.loads(line) for line in lines)


def is_answer(exchange: Loose) -> bool:
    """Not an error, a text of a proxy, or the state of an answer made in the background."""
    if exchange["status"] != 200 or exchange["content_type"] == "text/plain":
        return False
    unfinished = ('"status": "queued"', '"status": "in_progress"')
    return exchange["stream"] or not any(word in exchange["body"] for word in unfinished)


def exchanges(*, stream: bool) -> list[Loose]:
    """Answers, as parameters of a test."""
    if not recorded():
        reason = "CCAPI_EXCHANGES names no file of recorded exchanges"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason))]
    return [
        pytest.param(each, id=each["id"].rpartition("/")[2])
        for each in recorded()
        if is_answer(each) and each["stream"] == stream
    ]


def upstream_of(exchange: Loose) -> str:
    name: str = exchange["protocol"]
    return PROTOCOLS.get(name, name)


@pytest.mark.parametrize("exchange", exchanges(stream=False))
def test_a_recorded_answer_reads_the_same_for_every_client(exchange: Loose) -> None:
    upstream, body = upstream_of(exchange), exchange["body"].encode()
    original = WHOLE[upstream](body)

    for client in NAMES:
        agree(WHOLE[client](through(client, upstream, body)), same_for(client, original))


@pytest.mark.parametrize("exchange", exchanges(stream=True))
def test_a_recorded_stream_reads_the_same_for_every_client(exchange: Loose) -> None:
    upstream, data = upstream_of(exchange), exchange["body"].encode()
    original = STREAMED[upstream](data)

    for client in NAMES:
        agree(STREAMED[client](through_stream(client, upstream, data)), same_for(client, original))


@pytest.mark.parametrize("exchange", exchanges(stream=True))
def test_a_recorded_stream_reads_the_same_directly(exchange: Loose) -> None:
    upstream, data = upstream_of(exchange), exchange["body"].encode()

    agree(STREAMED[upstream](forwarded(upstream, data)), STREAMED[upstream](data))


def test_what_was_recorded_beside_answers_is_none() -> None:
    if not recorded():
        pytest.skip("CCAPI_EXCHANGES names no file of recorded exchanges")
    beside = [each for each in recorded() if not is_answer(each)]

    for exchange in beside:
        codec, body = CODECS[upstream_of(exchange)], exchange["body"].encode()
        with pytest.raises(GarbledStream):
            codec.decode_response(body)
        if exchange["status"] != 200:
            failure = codec.decode_error(exchange["status"], {}, body)
            assert failure.kind == "invalid"
            assert failure.message == json.loads(body)["error"]["message"]
    assert len(beside) == 7
