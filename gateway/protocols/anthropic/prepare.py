"""A request → the body for an upstream that speaks Anthropic's protocol.

`encode_request` builds it from our `Request`; `direct_request` takes the client's own body. What
the protocol has no counterpart for is reported as dropped, or refused where that would change the
answer.
"""

import re

import msgspec
from msgspec import Raw

from ccapi.core.errors import UnsupportedParameter
from gateway.ir.request import OtherTool, Request, ResponseFormat, Tool
from gateway.protocols.anthropic import citations, wire
from gateway.protocols.anthropic.blocks import parse
from gateway.protocols.anthropic.request import OUR_FIELDS, decode_request
from gateway.protocols.anthropic.signatures import SEALED
from gateway.protocols.anthropic.thinking import (
    ADAPTIVE,
    encode_thinking,
    loop_without_thoughts,
    thinks,
)
from gateway.protocols.anthropic.turns import MID_SYSTEM, Dropped, encode_turns, marked
from gateway.protocols.base import Body, Encoded, Target
from gateway.protocols.shared.offers import without_offers

PATH = "/messages"
HEADERS = (("anthropic-version", wire.VERSION),)
MAX_TOKENS_DEFAULT = 4096  # where neither the client, the wallet nor the catalog says
USER_ID_MAX = 256  # characters
FIXED_SAMPLING = (
    "fixed_sampling"  # the capability of models that refuse temperature, top_p and top_k
)

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_EMPTY_SCHEMA = b'{"type":"object","properties":{}}'


def encode_request(request: Request, target: Target) -> Encoded:
    """Raises: UnsupportedParameter."""
    request, offers = without_offers(request, wire.NAME)
    _refuse(request)
    dropped: Dropped = dict.fromkeys(offers)
    own = request.extras.get(wire.NAME, {})
    max_tokens = request.max_tokens
    if max_tokens is None:
        max_tokens = target.max_tokens or target.max_output_tokens or MAX_TOKENS_DEFAULT
    system, messages = encode_turns(
        request.messages, mid_system=MID_SYSTEM in target.capabilities, dropped=dropped
    )
    body: wire.Json = {
        "model": target.upstream_model,
        "max_tokens": max_tokens,
        "messages": messages,
    }
    if system:
        plain = len(system) == 1 and system[0].keys() == {"type", "text"}
        body["system"] = system[0]["text"] if plain else system
    if target.stream:
        body["stream"] = True
    if request.stop:
        body["stop_sequences"] = request.stop
    body |= _tools(request)
    body |= _thinking(request, target, max_tokens, dropped)
    body |= _sampling(request, target, thinking=thinks(body), dropped=dropped)
    if request.user:
        body |= _user(request.user, dropped)
    body = _with_own_words(body, own, dropped)
    if request.response_format is not None and request.response_format.mode == "schema":
        body["output_config"] = _format(request.response_format) | body.get("output_config", {})
    _report(request, dropped)
    return Encoded(path=PATH, body=wire.encode(body), headers=HEADERS, dropped=tuple(dropped))


def _refuse(request: Request) -> None:
    """What Anthropic cannot do, and whose absence would change the answer."""
    if request.n != 1:
        raise UnsupportedParameter("n: this model gives one answer a request.", param="n")
    if any(not text.strip() for text in request.stop):
        raise UnsupportedParameter(
            "stop: this model takes no stop sequence of white space alone.", param="stop"
        )
    form = request.response_format
    if form is not None and form.mode == "json":
        raise UnsupportedParameter(
            "response_format: this model gives JSON by a schema only; use json_schema.",
            param="response_format",
        )
    for at, tool in enumerate(request.tools):
        if isinstance(tool, OtherTool):
            if tool.protocol != wire.NAME:
                raise UnsupportedParameter(
                    f"tools.{at}: this model's provider has no tool {tool.kind!r}.",
                    param=f"tools.{at}",
                )
        elif not _TOOL_NAME.fullmatch(tool.name):
            # Under another name, its calls would be of a tool that the client does not know.
            raise UnsupportedParameter(
                f"tools.{at}: this model takes letters, digits, _ and - in a tool's name, "
                f"not {tool.name!r}.",
                param=f"tools.{at}",
            )


def _tools(request: Request) -> wire.Json:
    if not request.tools:
        return {}
    fields: wire.Json = {
        "tools": [
            tool.raw if isinstance(tool, OtherTool) else _tool(tool, f"tools.{at}")
            for at, tool in enumerate(request.tools)
        ]
    }
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    told: wire.Json | None = None
    if choice is not None:
        told = {"type": "any" if choice.mode == "required" else choice.mode}
        if choice.mode == "tool":
            told["name"] = choice.name
    elif parallel is False:
        told = {"type": "auto"}
    if told is None:
        return fields
    if parallel is not None and told["type"] != "none":
        told["disable_parallel_tool_use"] = not parallel
    return fields | {"tool_choice": told}


def _tool(tool: Tool, path: str) -> wire.Json:
    told: wire.Json = {"name": tool.name, "input_schema": _schema(tool.parameters, path)}
    if tool.description:
        told["description"] = tool.description
    if tool.strict is not None:
        told["strict"] = tool.strict
    return marked(told | tool.extras.get(wire.NAME, {}), tool.cache)


def _schema(raw: Raw, path: str) -> Raw | wire.Json:
    """The schema with the `type` at its root that Anthropic insists on."""
    if wire.absent(raw):
        return Raw(_EMPTY_SCHEMA)
    try:
        fields = wire.decode_object(raw)
    except msgspec.DecodeError:
        message = f"{path}: this model takes a JSON object as a tool's schema."
        raise UnsupportedParameter(message, param=path) from None
    return raw if "type" in fields else {"type": "object"} | fields


def _thinking(request: Request, target: Target, max_tokens: int, dropped: Dropped) -> wire.Json:
    """`thinking` and `output_config.effort`, unless the client said it in Anthropic's own words."""
    own, config = request.extras.get(wire.NAME, {}), request.reasoning
    if config is None or "thinking" in own or "output_config" in own:
        return {}
    adaptive = ADAPTIVE in target.capabilities and config.budget_tokens is None
    fields = encode_thinking(
        config,
        max_tokens=max_tokens,
        max_tokens_is_ours=request.max_tokens is None,
        adaptive=adaptive,
    )
    if fields is None:
        dropped["reasoning_effort"] = None
        return {}
    if thinks(fields) and not adaptive:
        forced = request.tool_choice is not None and request.tool_choice.mode in (
            "required",
            "tool",
        )
        if forced or loop_without_thoughts(request.messages):
            # Anthropic refuses a budget together with either; the conversation is worth more.
            dropped["reasoning_effort"] = None
            return {}
    return fields


def _sampling(request: Request, target: Target, *, thinking: bool, dropped: Dropped) -> wire.Json:
    """Temperature and its kin: Anthropic's temperature ends at 1, and thinking allows only 1."""
    fields: wire.Json = {}
    asked = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
    }
    for name, value in asked.items():
        if value is None:
            continue
        if FIXED_SAMPLING in target.capabilities or (thinking and not _thinkable(name, value)):
            dropped[name] = None
        elif name == "temperature" and value > 1:
            dropped[name] = None
            fields[name] = 1.0
        else:
            fields[name] = value
    return fields


def _thinkable(name: str, value: float) -> bool:
    return (name == "temperature" and value == 1) or (name == "top_p" and 0.95 <= value <= 1)


def _user(user: str, dropped: Dropped) -> wire.Json:
    if len(user) > USER_ID_MAX:
        dropped["user"] = None
        return {}
    return {"metadata": {"user_id": user}}


def _format(form: ResponseFormat) -> wire.Json:
    """`output_config.format`. Models without it refuse it themselves, with a clear 400."""
    if form.schema is None:
        raise UnsupportedParameter(
            "response_format: the schema is missing.", param="response_format"
        )
    return {"format": {"type": "json_schema", "schema": form.schema}}


def _with_own_words(body: wire.Json, own: dict[str, Raw], dropped: Dropped) -> wire.Json:
    """The fields that only this protocol has, as the client wrote them."""
    for name, raw in own.items():
        body[name] = wire.decode_object(raw) if name == "output_config" else raw
        dropped.pop(name, None)
    return body


def _report(request: Request, dropped: Dropped) -> None:
    """Names of what stays behind."""
    for name in ("seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"):
        if getattr(request, name) not in (None, False, 0):
            dropped[name] = None
    for protocol, fields in request.extras.items():
        if protocol != wire.NAME:
            dropped.update(dict.fromkeys(fields))


def direct_request(body: Body, target: Target) -> Encoded:
    """The client's own body with the model's name replaced, and without our own fields.

    Thoughts of other protocols, which a client of ours may send back (see `signatures`), are taken
    out: Anthropic refuses the whole request for them.

    Raises: UnsupportedParameter where nothing is left then.
    """
    told = {name: raw for name, raw in body.items() if name not in OUR_FIELDS}
    told["model"] = Raw(wire.encode(target.upstream_model))
    dropped: tuple[str, ...] = ()
    messages = body.get("messages")
    if messages is not None and SEALED in bytes(messages):
        told["messages"] = _without_sealed(messages)
        dropped = ("messages.thinking",)
        request = decode_request(told)
        budget = request.reasoning is not None and request.reasoning.budget_tokens is not None
        if budget and loop_without_thoughts(request.messages):
            told["thinking"] = Raw(b'{"type":"disabled"}')
            dropped = (*dropped, "thinking")
    return Encoded(path=PATH, body=wire.encode(told), headers=HEADERS, dropped=dropped)


def _without_sealed(messages: Raw) -> Raw:
    kept: list[Raw | wire.Json] = []
    for at, raw in enumerate(parse(list[Raw], messages, "messages")):
        if SEALED not in bytes(raw):
            kept.append(raw)
            continue
        message = parse(wire.Object, raw, f"messages.{at}")
        content = parse(wire.MessageParam, raw, f"messages.{at}").content
        if isinstance(content, str):
            kept.append(raw)
            continue
        blocks = [_without_ours(block) for block in content if not _is_sealed(block)]
        if blocks:
            kept.append(message | {"content": blocks})
    if not kept:
        raise UnsupportedParameter("messages: none of them has content.", param="messages")
    return Raw(wire.encode(kept))


def _without_ours(block: Raw) -> Raw:
    """A text without the citations that we made of another protocol's."""
    if SEALED not in bytes(block):
        return block
    cited = parse(wire.SealedBlock, block, "messages").citations
    if not cited:
        return block
    kept = citations.own(cited)
    fields = parse(wire.Object, block, "messages")
    return Raw(wire.encode({**fields, "citations": kept or None}))


def _is_sealed(block: Raw) -> bool:
    if SEALED not in bytes(block):
        return False
    fields = parse(wire.SealedBlock, block, "messages")
    sealed = SEALED.decode().lstrip('"')
    return fields.type in ("thinking", "redacted_thinking") and (
        fields.signature.startswith(sealed) or fields.data.startswith(sealed)
    )
