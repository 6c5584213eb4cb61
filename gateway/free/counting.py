"""Counting the tokens of a prompt, before it is sent: Claude's `count_tokens`, Gemini's.

The count is our tokenizer's, so an estimate for models of other vendors. It asks no provider and
costs nothing; it does take a request of the caller's limits.
"""

from uuid import UUID

import msgspec

from gateway import ports, tokens
from gateway.free.answers import Asked
from gateway.ir.request import Raw, Request
from gateway.meter import prompt_texts
from gateway.protocols.base import Body
from gateway.protocols.shared import fields

_WHOLE = "generateContentRequest"  # Gemini's other form: the request itself


async def count_messages(asked: Asked, request_id: UUID) -> dict[str, object]:
    """Claude's: the body of a message without its maximum."""
    body: Body = {"max_tokens": Raw(b"1"), **asked.body}
    return {"input_tokens": await _count(asked, request_id, body)}


async def count_contents(asked: Asked, request_id: UUID) -> dict[str, object]:
    """Gemini's: contents alone, or a whole request."""
    body = asked.body
    for name in (_WHOLE, "generate_content_request"):
        inner = fields.table(body, name)
        if inner is not None:
            body = dict(inner)
            break
    spoken = {"model": Raw(msgspec.json.encode(asked.route.model)), "stream": Raw(b"false")}
    total = await _count(asked, request_id, {**body, **spoken})
    return {
        "totalTokens": total,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": total}],
    }


async def _count(asked: Asked, request_id: UUID, body: Body) -> int:
    """Raises: GatewayError for a prompt that no model would take, or one too many a minute."""
    request: Request = asked.route.codec.decode_request(body)
    asked.one(request.model)
    reservation = await ports.reserve(asked.caller, request_id, 0)
    try:
        return await tokens.count(prompt_texts(request))
    finally:
        reservation.settle(0)


COUNTERS = {"count_messages": count_messages, "count_contents": count_contents}
