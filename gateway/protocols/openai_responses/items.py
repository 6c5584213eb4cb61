"""Output items as this protocol writes them, and their ids.

Ids are made from the answer's own, so that the same answer has the same ones.
"""

import msgspec

from gateway.ir.request import Citation
from gateway.protocols.base import Told
from gateway.protocols.openai_responses import wire
from gateway.protocols.openai_responses.items_out import encode_thoughts
from gateway.protocols.openai_responses.signatures import Own
from gateway.protocols.openai_responses.wire import Wire
from gateway.protocols.shared import url_citations

CUSTOM_CALL = "custom_tool_call"
CALLS = frozenset({"function_call", CUSTOM_CALL})
KNOWN = CALLS | {"message", "reasoning"}

_STEM_LENGTH_MAX = 48  # ids have at most 64 characters


def answer_id(upstream_id: str, told: Told) -> str:
    """The upstream's own where it is of this protocol's form."""
    if upstream_id.startswith("resp_"):
        return upstream_id
    return "resp_" + _stem(told.id)


def _stem(told: str) -> str:
    stem = "".join(letter if letter.isalnum() else "_" for letter in told)
    return stem.removeprefix("gen_")[:_STEM_LENGTH_MAX]


class Ids:
    """Ids of the items of one answer."""

    def __init__(self, answer: str) -> None:
        self._stem = _stem(answer.removeprefix("resp_"))
        self._count = 0

    def next(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._stem}_{self._count - 1}"


def joined(parts: list[wire.Content] | None) -> str:
    return "\n\n".join(part.text or "" for part in parts or [])


def tokens_of(logprobs: wire.Raw | None) -> list[wire.Raw]:
    """Log probabilities of our types as a list of tokens."""
    if logprobs is None:
        return []
    try:
        return wire.decode_logprobs(logprobs).content or []
    except msgspec.DecodeError:
        return []


def text_part(text: str, notes: list[wire.Raw], tokens: list[wire.Raw]) -> Wire:
    return {"type": "output_text", "annotations": notes, "logprobs": tokens, "text": text}


def annotation(cited: Citation, text_start: int) -> wire.Raw:
    """Of a web page; its text begins at `text_start` of the whole answer."""
    fields = url_citations.written(cited, text_start)
    return wire.raw({"type": url_citations.KIND, **fields})


def refusal_part(text: str) -> Wire:
    return {"type": "refusal", "refusal": text}


def message(item_id: str, content: list[Wire], status: str = "completed") -> Wire:
    return {
        "id": item_id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def function_call(item_id: str, named: Wire, arguments: str, status: str = "completed") -> Wire:
    """`named` has its `call_id`, its `name`, and its namespace, if any."""
    item = {"id": item_id, "type": "function_call", "status": status}
    return {**item, **named, "arguments": arguments}


def custom_call(item_id: str, named: Wire, told: str, status: str = "completed") -> Wire:
    item = {"id": item_id, "type": CUSTOM_CALL, "status": status}
    return {**item, **named, "input": told}


def reasoning(item_id: str, text: str, sealed: str) -> Wire:
    summary = [{"type": "summary_text", "text": text}] if text else []
    item: Wire = {"id": item_id, "type": "reasoning", "summary": summary}
    if sealed:
        item["encrypted_content"] = sealed
    return item


def own_reasoning(text: str, told: Own) -> Wire:
    """Thoughts that a provider of this protocol signed: its own item."""
    return encode_thoughts(text, told)
