"""Our messages → `system` and `messages`, in the order and shape that Anthropic takes.

Anthropic wants turns of user and assistant in alternation, the user first, the results of tools at
the head of the user turn that follows their calls, and no empty text. So: leading system and
developer messages become `system`; later ones stay where they are on models of the capability
`mid_conversation_system` (where the placement rules allow it), else they move to the end of
`system`, as Anthropic's own OpenAI-compatible endpoint does it; neighbours of one role are joined;
results move to the front; empty texts are left out.
"""

import re

import msgspec
from msgspec import Raw

from ccapi.core.errors import UnsupportedParameter
from gateway.ir.request import (
    Audio,
    CacheMark,
    File,
    Image,
    Message,
    Other,
    Part,
    Reasoning,
    RedactedReasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.protocols.anthropic import citations, wire
from gateway.protocols.anthropic.media import encode_file, encode_image
from gateway.protocols.anthropic.thinking import signed_here

MID_SYSTEM = "mid_conversation_system"  # the capability
OPENING = "(The conversation begins.)"  # where a user's turn is demanded and there is none

Dropped = dict[str, None]  # an ordered set of names


class Turn(msgspec.Struct):
    role: str
    blocks: list[wire.Json]


def encode_turns(
    messages: tuple[Message, ...], *, mid_system: bool, dropped: Dropped
) -> tuple[list[wire.Json], list[wire.Json]]:
    """The blocks of `system`, and `messages`.

    Raises: UnsupportedParameter for content that Anthropic cannot read, and where there
    is none.
    """
    turns: list[Turn] = []
    for at, message in enumerate(messages):
        if message.name:
            dropped[f"messages.{at}.name"] = None
        role = {"developer": "system", "tool": "user"}.get(message.role, message.role)
        blocks = _encode_parts(message, f"messages.{at}", dropped)
        if not blocks:
            continue
        if turns and turns[-1].role == role:
            turns[-1].blocks += blocks
        else:
            turns.append(Turn(role=role, blocks=blocks))
    system, turns = _lift_system(turns, mid_system=mid_system)
    if not turns:
        raise UnsupportedParameter("messages: none of them has content.", param="messages")
    return system, _arrange(turns)


def _lift_system(turns: list[Turn], *, mid_system: bool) -> tuple[list[wire.Json], list[Turn]]:
    """System turns out of the conversation, those that may stay excepted."""
    head: list[wire.Json] = []
    rest: list[Turn] = []
    for at, turn in enumerate(turns):
        if turn.role != "system":
            if rest and rest[-1].role == turn.role:
                rest[-1].blocks += turn.blocks
            else:
                rest.append(turn)
        elif mid_system and _may_stay(turns, at):
            rest.append(turn)
        else:
            head += turn.blocks
    if not rest and head:
        # Nothing but instructions: they are what the model is asked.
        return [], [Turn(role="user", blocks=head)]
    return head, rest


def _may_stay(turns: list[Turn], at: int) -> bool:
    """After a user's turn, and last or before an assistant's."""
    follows_user = at > 0 and turns[at - 1].role == "user"
    return follows_user and (at + 1 == len(turns) or turns[at + 1].role == "assistant")


def _arrange(turns: list[Turn]) -> list[wire.Json]:
    """Results first, the user first, and no white space at the end of a prefill."""
    for turn in turns:
        if turn.role == "user":
            turn.blocks.sort(key=lambda block: block["type"] != "tool_result")
    if turns[0].role == "assistant":
        turns.insert(0, Turn(role="user", blocks=[{"type": "text", "text": OPENING}]))
    last = turns[-1]
    if last.role == "assistant" and last.blocks[-1]["type"] == "text":
        last.blocks[-1]["text"] = last.blocks[-1]["text"].rstrip()
    return [{"role": turn.role, "content": _content(turn.blocks)} for turn in turns]


def _content(blocks: list[wire.Json]) -> str | list[wire.Json]:
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks


def _encode_parts(message: Message, path: str, dropped: Dropped) -> list[wire.Json]:
    blocks: list[wire.Json] = []
    for at, part in enumerate(message.parts):
        block = _encode_part(part, f"{path}.content.{at}", dropped)
        if block is not None:
            blocks.append(block)
    return blocks


def _encode_part(part: Part, path: str, dropped: Dropped) -> wire.Json | None:
    match part:
        case Text():
            return _text(part)
        case Refusal():
            return _text(Text(text=part.text))
        case Image():
            return marked(encode_image(part, path), part.cache)
        case File():
            return marked(encode_file(part, path), part.cache)
        case ToolCall():
            return encode_call(part)
        case ToolResult():
            return _result(part, path, dropped)
        case Audio():
            raise UnsupportedParameter(f"{path}: this model's provider takes no audio.", param=path)
        case _:
            return _own(part, path, dropped)


def _own(
    part: Reasoning | RedactedReasoning | Other, path: str, dropped: Dropped
) -> wire.Json | None:
    """Parts that only the protocol that made them takes back."""
    match part:
        case Other() if part.protocol == wire.NAME:
            return wire.decode_object(part.raw) | {"type": part.kind}
        case Reasoning() if signed_here(part):
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        case RedactedReasoning() if signed_here(part):
            return {"type": "redacted_thinking", "data": part.data}
    kind = part.kind if isinstance(part, Other) else "reasoning"
    dropped[f"{path}.{kind}"] = None
    return None


def _text(part: Text) -> wire.Json | None:
    if not part.text.strip():
        return None  # "text content blocks must be non-empty", and must not be white space only
    block: wire.Json = {"type": "text", "text": part.text}
    if part.citations_of == wire.NAME and (kept := citations.own(part.citations)):
        block["citations"] = kept
    return marked(block, part.cache)


def encode_call(call: ToolCall) -> wire.Json:
    block: wire.Json = {
        "type": "tool_use",
        "id": safe_id(call.id),
        "name": _UNSAFE.sub("_", call.name),
        "input": encode_input(call.arguments),
    }
    return marked(block | call.extras.get(wire.NAME, {}), call.cache)


def encode_input(arguments: str) -> Raw:
    """A call's arguments as the object that `input` must be; what is none is wrapped, not lost."""
    if not arguments.strip():
        return Raw(b"{}")
    raw = arguments.encode()
    try:
        wire.decode_object(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Raw(wire.encode({"partial_data": arguments}))
    return Raw(raw)


_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


def safe_id(call_id: str) -> str:
    """Anthropic takes letters, digits, `_` and `-` in the ids of calls; the same id maps alike."""
    return _UNSAFE.sub("_", call_id)


def _result(part: ToolResult, path: str, dropped: Dropped) -> wire.Json:
    block: wire.Json = {"type": "tool_result", "tool_use_id": safe_id(part.call_id)}
    inner = [
        _encode_part(piece, f"{path}.content.{i}", dropped) for i, piece in enumerate(part.parts)
    ]
    blocks = [piece for piece in inner if piece is not None]
    if blocks:
        block["content"] = _content(blocks)
    if part.is_error:
        block["is_error"] = True
    return marked(block, part.cache)


def marked(block: wire.Json, cache: CacheMark | None) -> wire.Json:
    """The block with its cache mark, if any."""
    if cache is not None:
        block["cache_control"] = encode_mark(cache)
    return block


def encode_mark(cache: CacheMark) -> wire.Json:
    return {"type": "ephemeral", "ttl": cache.ttl} if cache.ttl else {"type": "ephemeral"}
