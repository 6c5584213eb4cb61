"""Messages of a request, ours → `systemInstruction` and `contents`.

Gemini has two roles, joins nothing by itself, and wants a call's results in the turn right after
it: neighbours of one role are joined, system messages move to the instruction wherever they stood,
results keep their place and learn the name of their call from the history. What Gemini cannot be
given is refused where the user put it in front of the model, and dropped (and named) where it is
history or comfort.

From Gemini 3 on the first call of each step of the current turn must carry a signature, or the
request is refused; one that another provider made gets the placeholder that Google names for it.
Source: https://ai.google.dev/gemini-api/docs/thought-signatures
"""

import re
from collections.abc import Sequence

import msgspec

from ccapi.core.errors import UnsupportedParameter
from gateway.ir.request import (
    Audio,
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
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.contents_in import UNWRAPPED
from gateway.protocols.gemini.media import encode_media
from gateway.protocols.gemini.signatures import SKIP

# Models that ask for no signatures, and take no media inside the result of a function.
OLDER = re.compile(r"gemini-[12]\b|gemma|learnlm", re.IGNORECASE)

Dropped = dict[str, None]  # an ordered set of names


class Turn(msgspec.Struct):
    role: str
    parts: list[wire.Json]


def encode_contents(
    messages: tuple[Message, ...], *, model: str, dropped: Dropped
) -> tuple[list[wire.Json], list[wire.Json]]:
    """The parts of the instruction, and the contents. Raises: UnsupportedParameter."""
    system: list[wire.Json] = []
    turns: list[Turn] = []
    names: dict[str, str] = {}  # of calls, by id
    for position, message in enumerate(messages):
        at = f"messages[{position}]"
        if message.name:
            dropped[f"{at}.name"] = None
        if message.role == "assistant":
            names |= {part.id: part.name for part in message.parts if isinstance(part, ToolCall)}
            role, parts = "model", model_parts(message.parts, dropped)
        else:
            role = "user"
            parts = _user_parts(message.parts, at, names, model=model, dropped=dropped)
        if message.role in ("system", "developer"):
            system += parts
        elif parts and turns and turns[-1].role == role:
            turns[-1].parts += parts
        elif parts:
            turns.append(Turn(role, parts))
    if not turns:
        # Nothing but instructions: they are what the model is asked.
        turns, system = ([Turn("user", system)] if system else []), []
    if not turns:
        raise UnsupportedParameter("messages: none of them has content.", param="messages")
    contents: list[wire.Json] = [{"role": turn.role, "parts": turn.parts} for turn in turns]
    if not OLDER.search(model):
        sign_current_turn(contents)
    return system, contents


def sign_current_turn(contents: list[wire.Json]) -> bool:
    """Give the placeholder to calls that lack a signature they need; whether any did.

    The current turn is what follows the last thing that the user said, other than results.
    """
    changed = False
    for content in reversed(contents):
        parts: Sequence[wire.Json] = content["parts"]  # type: ignore[assignment]  # ours, see above
        if content.get("role") == "model":
            first = next((part for part in parts if "functionCall" in part), None)
            if first is not None and not first.get("thoughtSignature"):
                first["thoughtSignature"] = SKIP
                changed = True
        elif any("functionResponse" not in part for part in parts) and not any(
            "functionResponse" in part for part in parts
        ):
            break
    return changed


def model_parts(parts: Sequence[Part], dropped: Dropped) -> list[wire.Json]:
    """What the model said: thoughts, and their signatures on the parts that follow them.

    A client that keeps thoughts apart sends them all first: then the call, which needs a signature,
    gets the only one, and no text before it.
    """
    told: list[wire.Json] = []
    pending: list[str] = []  # signatures that wait for their part
    signatures = sum(1 for part in parts if _signature(part))
    calls = any(isinstance(part, ToolCall) for part in parts)
    for part in parts:
        if isinstance(part, Reasoning) and part.signed_by in ("", wire.NAME):
            if part.text:
                told.append({"text": part.text, "thought": True})
            if part.signature:
                pending.append(part.signature)
            continue
        encoded = _model_part(part, dropped)
        if encoded is None:
            continue
        takes = not isinstance(part, Other) and (
            isinstance(part, ToolCall) or not calls or signatures > 1
        )
        if takes and pending:
            encoded["thoughtSignature"] = pending.pop(0)
            signatures -= 1
        told.append(encoded)
    return told + [{"text": "", "thoughtSignature": signature} for signature in pending]


def _model_part(part: Part, dropped: Dropped) -> wire.Json | None:
    match part:
        case ToolCall():
            return encode_call(part)
        case Text() | Refusal():
            if isinstance(part, Text) and part.cache is not None:
                dropped["cache_control"] = None
            return {"text": part.text}
        case Other() if part.protocol == wire.NAME:
            return dict(wire.decode_object(part.raw))
        case Image() | Audio() | File():
            return encode_media(part, "messages")
    _drop(part, dropped)
    return None


def _signature(part: Part) -> str:
    return part.signature if isinstance(part, Reasoning) and part.signed_by == wire.NAME else ""


def _drop(part: Part, dropped: Dropped) -> None:
    """History that means nothing to Gemini: what the model thought or ran elsewhere."""
    match part:
        case Reasoning() | RedactedReasoning():
            dropped["messages.reasoning"] = None
        case Other():
            dropped[f"messages.{part.kind}"] = None
        case _:
            dropped[f"messages.{part.__struct_config__.tag}"] = None


def encode_call(call: ToolCall) -> wire.Json:
    told: wire.Json = {"name": call.name, "args": encode_args(call.arguments)}
    if call.id:
        told = {"id": call.id, **told}
    return {"functionCall": told}


def encode_args(arguments: str) -> wire.Raw:
    """A call's arguments as the object that `args` must be; what is none is wrapped, not lost."""
    if not arguments.strip():
        return wire.Raw(b"{}")
    written = arguments.encode()
    try:
        wire.decode_object(written)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return wire.raw({"partial_data": arguments})
    return wire.Raw(written)


def _user_parts(
    parts: Sequence[Part], at: str, names: dict[str, str], *, model: str, dropped: Dropped
) -> list[wire.Json]:
    """What is put in front of the model: all of it must arrive."""
    told: list[wire.Json] = []
    for position, part in enumerate(parts):
        path = f"{at}.content[{position}]"
        if getattr(part, "cache", None) is not None:
            dropped["cache_control"] = None
        match part:
            case Text() | Refusal():
                told.append({"text": part.text})
            case Image() | Audio() | File():
                told.append(encode_media(part, path))
            case ToolResult():
                told += _result(part, path, names, model=model)
            case Other() if part.protocol == wire.NAME:
                told.append(dict(wire.decode_object(part.raw)))
            case Reasoning() | RedactedReasoning():
                _drop(part, dropped)
            case _:
                kind = part.kind if isinstance(part, Other) else part.__struct_config__.tag
                raise UnsupportedParameter(
                    f"{path}: a content part {kind!r} cannot be sent to this model.", param=path
                )
    return told


def _result(result: ToolResult, path: str, names: dict[str, str], *, model: str) -> list[wire.Json]:
    """`functionResponse`; media inside it, or right behind it for models that take none there."""
    text: list[str] = []
    media: list[wire.Json] = []
    for part in result.parts:
        match part:
            case Text() | Refusal():
                text.append(part.text)
            case Image() | Audio() | File():
                encoded = encode_media(part, path)
                if "text" in encoded:
                    text.append(str(encoded["text"]))
                else:
                    media.append(encoded)
            case _:
                raise UnsupportedParameter(
                    f"{path}: a result may hold text and media for this model.", param=path
                )
    said = "\n".join(text)
    told: wire.Json = {
        "name": result.name or names.get(result.call_id) or result.call_id,
        "response": _response(said, is_error=result.is_error, bare=bool(media)),
    }
    if result.call_id:
        told = {"id": result.call_id, **told}
    if media and not OLDER.search(model):
        return [{"functionResponse": told | {"parts": media}}]
    return [{"functionResponse": told}, *media]


def _response(text: str, *, is_error: bool, bare: bool) -> object:
    """An object that a tool answered goes as it is; any other text under `output` or `error`."""
    if is_error:
        return {"error": text}
    if text.lstrip().startswith("{"):
        try:
            keys = wire.decode_object(text.encode()).keys()
            if keys and keys not in [{key} for key in UNWRAPPED]:
                return wire.Raw(text.encode())
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # it only began like an object
    return {} if bare and not text else {"output": text}
