"""Sources of an answer, from every upstream protocol to the SDK of every client that can tell them.

Ollama has no words for them: its clients get the text alone.
"""

import json
from collections.abc import Callable
from typing import NamedTuple

import anthropic.types.beta
import pytest
from anthropic._models import construct_type as construct_anthropic
from google.genai import types as gemini_types
from msgspec import Raw
from openai._models import construct_type as construct_openai
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from gateway.ir.request import Citation, Text
from gateway.protocols.registry import CODECS
from tests.gateway.protocols.anthropic import anthropic_kit
from tests.gateway.protocols.gemini import gemini_kit
from tests.gateway.protocols.openai_responses import responses_wire
from tests.matrix.answers import answer
from tests.matrix.passage import (
    Loose,
    asked,
    events_from,
    events_of,
    frames,
    sent,
    spoken,
    through,
    through_stream,
    told,
    written,
)

TEXT = "Größe: the sky is blue 🌍. Water is wet."
BLUE, WET = "the sky is blue 🌍.", "Water is wet."


def at(said: str, url: str, title: str) -> Citation:
    start = TEXT.index(said)
    return Citation(url=url, title=title, start=start, end=start + len(said))


CITED = (at(BLUE, "https://sky.example/a", "Sky"), at(WET, "https://sea.example/b", "Sea"))
ANSWER = answer(Text(text=TEXT, cited=CITED))


class Source(NamedTuple):
    url: str
    title: str
    said: str  # the words of the answer that it stands for


WANTED = [
    Source("https://sky.example/a", "Sky", BLUE),
    Source("https://sea.example/b", "Sea", WET),
]


def of_chat(body: bytes) -> list[Source]:
    completion: Loose = construct_openai(type_=ChatCompletion, value=json.loads(body))
    return _chat(completion)


def of_chat_stream(data: bytes) -> list[Source]:
    state = ChatCompletionStreamState()
    for frame in frames(CODECS["openai"], data):
        if frame.data and frame.data != b"[DONE]":
            chunk: Loose = construct_openai(type_=ChatCompletionChunk, value=json.loads(frame.data))
            state.handle_chunk(chunk)
    return _chat(state.current_completion_snapshot)


def _chat(completion: Loose) -> list[Source]:
    message = completion.to_dict(warnings=False)["choices"][0]["message"]
    notes = [note["url_citation"] for note in message.get("annotations") or ()]
    return [_noted(note, message["content"]) for note in notes]


def _noted(note: Loose, text: str) -> Source:
    return Source(note["url"], note["title"], text[note["start_index"] : note["end_index"]])


def of_responses(body: bytes) -> list[Source]:
    response: Loose = construct_openai(type_=Response, value=json.loads(body))
    return _responses(response.to_dict(warnings=False))


def of_responses_stream(data: bytes) -> list[Source]:
    read = responses_wire.sdk_stream(data)
    assert not read.error
    added = [each["type"] for each in read.events if "annotation" in each["type"]]
    assert added == ["response.output_text.annotation.added"] * len(_responses(read.final))
    return _responses(read.final)


def _responses(response: Loose) -> list[Source]:
    return [
        _noted(note, part["text"])
        for item in response["output"]
        for part in item["content"]
        for note in part["annotations"]
    ]


def of_anthropic(body: bytes) -> list[Source]:
    kind = anthropic.types.beta.BetaMessage
    message: Loose = construct_anthropic(type_=kind, value=json.loads(body))
    return _anthropic(message)


def of_anthropic_stream(data: bytes) -> list[Source]:
    return _anthropic(anthropic_kit.sdk_message(data))


def _anthropic(message: Loose) -> list[Source]:
    return [
        Source(cited["url"], cited["title"], block["text"])
        for block in message.to_dict(warnings=False)["content"]
        for cited in block.get("citations") or ()
    ]


def of_gemini(body: bytes) -> list[Source]:
    return _gemini([gemini_kit.read_by_sdk(body)])


def of_gemini_stream(data: bytes) -> list[Source]:
    chunks = [frame.data for frame in frames(CODECS["gemini"], data) if frame.data]
    return _gemini([gemini_kit.read_by_sdk(chunk) for chunk in chunks])


def _gemini(chunks: list[gemini_types.GenerateContentResponse]) -> list[Source]:
    """As the vendor's own example reads it: indices are bytes of the whole text."""
    text = gemini_kit.said(chunks)["text"].encode()
    found = []
    for chunk in chunks:
        grounding: Loose = chunk.candidates[0].grounding_metadata if chunk.candidates else None
        for support in (grounding and grounding.grounding_supports) or ():
            span = support.segment
            said = text[span.start_index : span.end_index].decode()
            assert span.text == said
            for index in support.grounding_chunk_indices:
                web = grounding.grounding_chunks[index].web
                found.append(Source(web.uri, web.title, said))
    return found


Reader = Callable[[bytes], list[Source]]
WHOLE: dict[str, Reader] = {
    "openai": of_chat,
    "openai_responses": of_responses,
    "anthropic": of_anthropic,
    "gemini": of_gemini,
}
STREAMED: dict[str, Reader] = {
    "openai": of_chat_stream,
    "openai_responses": of_responses_stream,
    "anthropic": of_anthropic_stream,
    "gemini": of_gemini_stream,
}
each_client = pytest.mark.parametrize("client", WHOLE)
each_upstream = pytest.mark.parametrize("upstream", WHOLE)


def test_every_protocol_but_ollamas_has_words_for_sources() -> None:
    assert WHOLE.keys() == STREAMED.keys() == CODECS.keys() - {"ollama"}


@each_client
@each_upstream
def test_a_whole_answers_sources_reach_the_client_each_at_its_words(
    client: str, upstream: str
) -> None:
    body = told(upstream, ANSWER)

    assert WHOLE[client](through(client, upstream, body)) == WANTED


@each_client
@each_upstream
def test_a_streams_sources_reach_the_client(client: str, upstream: str) -> None:
    data = written(upstream, events_from(ANSWER))

    sources = STREAMED[client](through_stream(client, upstream, data))

    assert [source[:2] for source in sources] == [source[:2] for source in WANTED]
    if client != "anthropic" and upstream != "anthropic":
        # Told behind the text: a block of Anthropic's has been written by then, and is all cited.
        assert sources == WANTED


@pytest.mark.parametrize("upstream", WHOLE)
def test_an_ollama_client_gets_the_text_alone(upstream: str) -> None:
    body = through("ollama", upstream, told(upstream, ANSWER))
    data = through_stream("ollama", upstream, written(upstream, events_from(ANSWER)))

    assert json.loads(body)["message"] == {"role": "assistant", "content": TEXT}
    assert b"sky.example" not in data


CITATION = {
    "type": "web_search_result_location",
    "url": "https://sky.example/a",
    "title": "Sky",
    "cited_text": "blue",
    "encrypted_index": "abc",
}


def block(index: int, *deltas: Loose) -> list[Loose]:
    """A text block's events, as Anthropic's stream has them."""
    start = {"type": "text", "text": ""}
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": each} for each in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(said: str) -> Loose:
    return {"type": "text_delta", "text": said}


def anthropic_stream() -> bytes:
    """Three blocks, of which the second is cited before its text has come."""
    told = [
        {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {}}},
        *block(0, text("Größe: ")),
        *block(1, {"type": "citations_delta", "citation": CITATION}, text(BLUE)),
        *block(2, text(" So.")),
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
        {"type": "message_stop"},
    ]
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode())
        for each in told
    )


@each_client
def test_a_cited_block_of_anthropics_is_the_words_that_are_cited(client: str) -> None:
    sources = STREAMED[client](through_stream(client, "anthropic", anthropic_stream()))

    # Where a block of Anthropic's begins no event tells: its own clients see the text from further
    # up, if they get it converted at all (in compat mode).
    wanted = "Größe: " + BLUE if client == "anthropic" else BLUE
    assert sources == [Source("https://sky.example/a", "Sky", wanted)]


@each_client
def test_sources_without_a_place_stand_for_the_whole_answer(client: str) -> None:
    body = json.dumps(
        {
            "candidates": [
                {
                    "content": {"role": "model", "parts": [{"text": TEXT}]},
                    "finishReason": "STOP",
                    "groundingMetadata": {
                        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}]
                    },
                }
            ]
        }
    ).encode()

    sources = WHOLE[client](through(client, "gemini", body))

    # Gemini's own metadata passes as it came, which names no words.
    wanted = [] if client == "gemini" else [Source("https://a.example", "A", TEXT)]
    assert sources == wanted


@pytest.mark.parametrize(
    "metadata", [b'{"groundingChunks": 1}', b'{"groundingSupports": [{"segment": "x"}]}', b"[]"]
)
def test_sources_that_make_no_sense_cost_the_answer_nothing(metadata: bytes) -> None:
    body = (
        b'{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP",'
        b'"groundingMetadata":' + metadata + b"}]}"
    )

    for client in WHOLE:
        if client != "gemini":
            assert WHOLE[client](through(client, "gemini", body)) == []


def test_sources_of_others_that_a_client_sends_back_never_reach_anthropic() -> None:
    answered = json.loads(through("anthropic", "openai", told("openai", ANSWER)))
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": answered["content"]},
        {"role": "user", "content": "And?"},
    ]
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": history}).encode()
    fields = {name: Raw(json.dumps(value).encode()) for name, value in json.loads(body).items()}
    codec = CODECS["anthropic"]

    converted = sent("anthropic", spoken(codec, body)).body
    direct = codec.direct_request(fields, anthropic_kit.target()).body

    for upstream in (converted, direct):
        assert b"sky.example" not in upstream
        assert b"ccapi." not in upstream
        assert b"the sky is blue" in upstream


def test_anthropics_own_sources_go_back_to_it() -> None:
    own = {"type": "web_search_result_location", "url": "https://a", "encrypted_index": "real"}
    block = {"type": "text", "text": "So.", "citations": [own]}
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [block]}]
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": history}).encode()

    upstream = json.loads(sent("anthropic", spoken(CODECS["anthropic"], body)).body)

    assert upstream["messages"][1]["content"][0]["citations"] == [own]


def test_events_of_an_answer_carry_its_sources_once() -> None:
    events = events_of(CODECS["gemini"], written("gemini", events_from(ANSWER)))

    cited = [one for event in events for one in getattr(event, "cited", ())]
    assert [one.url for one in cited] == [one.url for one in CITED]
    assert asked("gemini").model == "asked/for"
