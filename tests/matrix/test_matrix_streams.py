"""Streams of every protocol: passed on as they came, and read alike wherever they are cut."""

import hashlib
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ir.events import Completed, Failed
from gateway.protocols.registry import CODECS
from tests.matrix.answers import ANSWERS
from tests.matrix.passage import NAMES, events_from, events_of, forwarded, frames, written
from tests.matrix.test_matrix_recorded import recorded, upstream_of

WIRE = Path(__file__).parents[1] / "wire"
FOLDERS = {"openai": "openai_chat"}
# What the direct path adds to an answer, as the docstring of each codec lists it.
_ADDED = re.compile(rb',\s*"(?:input_cost|output_cost|cost)":\s*[0-9.eE+-]+')


@cache
def streams() -> dict[str, tuple[str, bytes]]:
    """Name → protocol and bytes: transcripts, recordings, and one of our own writing each."""
    found: dict[str, tuple[str, bytes]] = {}
    for name in NAMES:
        for path in sorted((WIRE / FOLDERS.get(name, name)).glob("*.sse")):
            found[f"{name}/{path.stem}"] = name, path.read_bytes()
        data = written(name, events_from(ANSWERS["thoughts, text and calls"]))
        found[f"{name}/written"] = name, _ADDED.sub(b"", data)
    for each in recorded():
        if each["stream"] and each["status"] == 200:
            found[each["id"]] = upstream_of(each), each["body"].encode()
    return found


def digest(name: str, data: bytes) -> str:
    """Of what the frames say, without the listed fields."""
    told = [frame.data for frame in frames(CODECS[name], data) if frame.data]
    return hashlib.sha256(b"\n".join(_ADDED.sub(b"", one) for one in told)).hexdigest()


def is_whole(name: str, data: bytes) -> bool:
    happened = events_of(CODECS[name], data)
    ended = any(isinstance(event, Completed) for event in happened)
    return ended and not any(isinstance(event, Failed) for event in happened)


@pytest.mark.parametrize("stream", streams())
def test_a_client_of_the_same_protocol_gets_what_the_upstream_sent(stream: str) -> None:
    name, data = streams()[stream]
    if not is_whole(name, data):
        assert not is_whole(name, forwarded(name, data))
        return

    out = forwarded(name, data)

    if name == "openai" and not any(
        _tells_usage(frame.data) for frame in frames(CODECS[name], data)
    ):
        # OpenAI's last chunk, which the codec's docstring lists, where the upstream sent none.
        ours = [f for f in frames(CODECS[name], out) if _tells_usage(f.data)]
        assert len(ours) == 1
        out = out.replace(ours[0].raw, b"")
    assert digest(name, out) == digest(name, data)


def _tells_usage(data: bytes) -> bool:
    return re.search(rb'"choices":\s*\[\]', data) is not None and b'"usage"' in data


@settings(deadline=None, max_examples=12)
@given(st.data())
@pytest.mark.parametrize("stream", streams())
def test_a_stream_cut_at_random_bytes_decodes_the_same(stream: str, data: st.DataObject) -> None:
    name, body = streams()[stream]
    body = body[-6000:] if name == "ollama" else body[:6000]
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=12))

    assert events_of(CODECS[name], body, cuts) == events_of(CODECS[name], body)
