"""What the bench says in both protocols: requests of the load, answers of the fake upstream.

How a request is answered stands in its prompt, which every gateway passes on as it is:
`[events=100 gap_ms=20]` for a stream of 100 events, about 20 ms apart.
"""

import json
import re
from typing import Literal

import msgspec

Protocol = Literal["openai", "anthropic"]
PATHS: dict[Protocol, str] = {"openai": "/chat/completions", "anthropic": "/messages"}
PROMPT = "Say something useful about computer networks, in two or three sentences, please."
REPLY = ("lorem ipsum dolor sit amet " * 38)[:1000]
OUTPUT = 100  # tokens, as the upstream counts them

_DIRECTIVE = re.compile(rb"\[events=(\d+) gap_ms=(\d+)\]")
_STREAMED = re.compile(rb'"stream"\s*:\s*true')


class Asked(msgspec.Struct, frozen=True):
    """How a request wants to be answered. Without events: whole."""

    events: int = 0
    gap_ms: int = 0


def request(protocol: Protocol, model: str, asked: Asked) -> bytes:
    """A body. A client of the OpenAI protocol asks for the usage, as most do."""
    prompt = f"{PROMPT} [events={asked.events} gap_ms={asked.gap_ms}]"
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": 200,
    }
    if asked.events:
        body["stream"] = True
        if protocol == "openai":
            body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


def asked_in(body: bytes) -> Asked:
    """What a request's body asks of the upstream."""
    if _STREAMED.search(body) is None:
        return Asked()
    found = _DIRECTIVE.search(body)
    return Asked(int(found[1]), int(found[2])) if found else Asked(1, 0)


class Answers(msgspec.Struct, frozen=True):
    """The bytes of one protocol, made once: a whole answer, and the parts of a stream."""

    whole: bytes
    opening: bytes  # with the head
    event: bytes
    closing: bytes


def _openai() -> Answers:
    shared = {"id": "chatcmpl-bench", "created": 1790000000, "model": "fast"}
    usage = {"prompt_tokens": 21, "completion_tokens": OUTPUT, "total_tokens": OUTPUT + 21}
    message = {"role": "assistant", "content": REPLY, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    chunk = {**shared, "object": "chat.completion.chunk", "system_fingerprint": "fp_bench"}

    def event(delta: dict[str, str], finish: str | None) -> bytes:
        piece = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data({**chunk, "choices": [piece]})

    return Answers(
        whole=_whole({**shared, "object": "chat.completion", "choices": [choice], "usage": usage}),
        opening=_HEAD,
        event=_chunk(event({"role": "assistant", "content": " tok001"}, None)),
        closing=_chunk(
            event({}, "stop")
            + _data({**chunk, "choices": [], "usage": usage})
            + b"data: [DONE]\n\n"
        )
        + b"0\r\n\r\n",
    )


def _anthropic() -> Answers:
    message = {"id": "msg_bench", "type": "message", "role": "assistant", "model": "fast"}
    usage = {"input_tokens": 21, "output_tokens": OUTPUT}
    text = [{"type": "text", "text": REPLY}]
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    began: dict[str, object] = {
        **message,
        "content": [],
        "stop_reason": None,
        "usage": {**usage, "output_tokens": 1},
    }
    block = {"type": "content_block_start", "index": 0, "content_block": _text("")}
    delta = {"type": "text_delta", "text": " tok001"}
    return Answers(
        whole=_whole({**message, "content": text, **ended, "usage": usage}),
        opening=_HEAD + _chunk(_event({"type": "message_start", "message": began}) + _event(block)),
        event=_chunk(_event({"type": "content_block_delta", "index": 0, "delta": delta})),
        closing=_chunk(
            _event({"type": "content_block_stop", "index": 0})
            + _event({"type": "message_delta", "delta": ended, "usage": {"output_tokens": OUTPUT}})
            + _event({"type": "message_stop"})
        )
        + b"0\r\n\r\n",
    )


_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _whole(body: dict[str, object]) -> bytes:
    data = json.dumps(body).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(data) + data


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _data(value: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def _event(value: dict[str, object]) -> bytes:
    return b"event: " + str(value["type"]).encode() + b"\n" + _data(value)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


ANSWERS: dict[Protocol, Answers] = {"openai": _openai(), "anthropic": _anthropic()}
