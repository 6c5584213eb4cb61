"""A request, both ways, without its items (`items_in`, `items_out`) and `tools`.

What has no counterpart in our types stays raw in `extras["openai_responses"]` under its own name
and goes to upstreams of this protocol. What refers to something that a provider keeps
(`previous_response_id`, …) is refused; what only this protocol can do is told in `bound`.

We keep no answers: `store` is false to an upstream of a translated request unless the client says
otherwise, and thoughts are asked for as `encrypted_content`, so that they survive without. An
answer made in the background could never be fetched through us, so it is refused unless streamed.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from ccapi.core.errors import InvalidParameter, MissingParameter, UnsupportedParameter
from gateway.ir.request import Message, ReasoningConfig, Request, ResponseFormat, Text
from gateway.protocols.base import Body, Encoded, Target
from gateway.protocols.openai_responses import wire
from gateway.protocols.openai_responses.items_in import decode_items, not_kept
from gateway.protocols.openai_responses.items_out import encode_items
from gateway.protocols.openai_responses.tools import (
    decode_choice,
    decode_tools,
    encode_choice,
    encode_tools,
    with_offers,
)
from gateway.protocols.openai_responses.wire import NAME, Wire
from gateway.protocols.shared import fields
from gateway.protocols.shared.dropped import Dropped
from gateway.protocols.shared.offers import without_offers

PATH = "/responses"
OUTPUT_TOKENS_MIN = 16  # the API refuses less
ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"

# Fields that the request's own attributes hold; all others are extras.
_KNOWN = frozenset(
    [
        "model",
        "models",
        "input",
        "instructions",
        "stream",
        "max_output_tokens",
        "temperature",
        "top_p",
        "top_logprobs",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "text",
        "reasoning",
        "user",
    ]
)
_BOUND = ("background",)
# What a provider keeps it keeps in our account there, which all customers share: an id of another
# one's would be as good as an own. So none is taken.
_KEPT = ("previous_response_id", "conversation", "prompt")
# Words for the part of a field that our types do not hold.
_EFFORT = "effort"
_FORMAT = "format"


def decode_request(body: Body) -> Request:
    """Raises: MissingParameter, InvalidParameter, with the field at fault in `param`."""
    # Null counts as absent: looked at once here instead of in every one of the reads below.
    body = {name: value for name, value in body.items() if wire.is_set(value)}
    names = fields.texts(body, "models") or []
    model = fields.text(body, "model") or (names[0] if names else "")
    if not model:
        raise MissingParameter("'model' is required.", param="model")
    stream = fields.flag(body, "stream") or False
    if fields.flag(body, "background"):
        if not stream:
            raise UnsupportedParameter(
                "'background' needs 'stream': answers are not kept here, so one that is made in"
                " the background could not be fetched.",
                param="background",
            )
    else:
        body.pop("background", None)
    for name in _KEPT:
        if name in body:
            raise not_kept(name)
    extras = {name: value for name, value in body.items() if name not in _KNOWN}
    messages = _messages(body)
    choice = decode_choice(body, extras)
    include = fields.texts(body, "include") or []
    top_logprobs = fields.integer(body, "top_logprobs", minimum=0)
    request = Request(
        model=model,
        models=tuple(names),
        messages=messages,
        stream=stream,
        max_tokens=fields.integer(body, "max_output_tokens", minimum=1),
        temperature=fields.number(body, "temperature"),
        top_p=fields.number(body, "top_p"),
        logprobs=True if LOGPROBS in include else None,
        top_logprobs=top_logprobs,
        tools=decode_tools(body),
        tool_choice=choice,
        parallel_tool_calls=fields.flag(body, "parallel_tool_calls"),
        response_format=_format(body, extras),
        reasoning=_reasoning(body, extras),
        user=fields.text(body, "user") or "",
        include_usage=True,  # this protocol's streams always end with it
        extras={NAME: extras} if extras else {},
        bound=tuple(name for name in _BOUND if name in body),
    )
    return with_offers(request)


def _messages(body: Body) -> tuple[Message, ...]:
    """`instructions` first. No input at all is an empty turn of the user."""
    instructions = fields.get(body, "instructions")
    before: tuple[Message, ...] = ()
    if instructions is not None:
        if wire.first(instructions) != b'"':
            raise InvalidParameter("'instructions' must be a text.", param="instructions")
        text = fields.text(body, "instructions") or ""
        before = (Message(role="system", parts=(Text(text=text),)),) if text else ()
    told = fields.get(body, "input")
    if told is not None and wire.first(told) == b"[":
        return before + decode_items(fields.tables(body, "input") or [])
    text = fields.text(body, "input") or ""
    return (*before, Message(role="user", parts=(Text(text=text),) if text else ()))


def _format(body: Body, extras: wire.Object) -> ResponseFormat | None:
    """`text`: its format, and among the extras what else stands there (`verbosity`)."""
    text = fields.table(body, "text")
    if text is None:
        return None
    rest = {name: raw for name, raw in text.items() if name != _FORMAT and wire.is_set(raw)}
    if rest:
        extras["text"] = wire.raw(rest)
    told = fields.table(text, _FORMAT, within="text.")
    if told is None:
        return None
    within = "text.format."
    kind = fields.required(fields.text(told, "type", within=within), within + "type")
    if kind == "text":
        return ResponseFormat(mode="text")
    if kind == "json_object":
        return ResponseFormat(mode="json")
    if kind != "json_schema":
        extras["text"] = body["text"]
        return None
    return ResponseFormat(
        mode="schema",
        name=fields.required(fields.text(told, "name", within=within), within + "name"),
        description=fields.text(told, "description", within=within) or "",
        schema=fields.get(told, "schema"),
        strict=fields.flag(told, "strict", within=within),
    )


def _reasoning(body: Body, extras: wire.Object) -> ReasoningConfig | None:
    """`reasoning`: its effort, and among the extras what else stands there (`summary`)."""
    config = fields.table(body, "reasoning")
    if config is None:
        return None
    rest = {name: raw for name, raw in config.items() if name != _EFFORT and wire.is_set(raw)}
    if rest:
        extras["reasoning"] = wire.raw(rest)
    effort = fields.text(config, _EFFORT, within="reasoning.")
    if effort is None:
        return None
    return ReasoningConfig(enabled=effort != "none", effort=effort)


def encode_request(request: Request, target: Target) -> Encoded:
    """Raises: UnsupportedParameter where what this protocol cannot say would change the answer."""
    _refuse_unsayable(request)
    dropped = Dropped()
    request, offers = without_offers(request, NAME)
    for name in offers:
        dropped.add(name)
    kept = request.extras.get(NAME, {})
    instructions, messages = _split(request.messages)
    items = encode_items(request, messages, dropped)
    body: Wire = {"model": target.upstream_model}
    if instructions:
        body["instructions"] = instructions
    body["input"] = items if items else ""
    if target.stream:
        body["stream"] = True
    plain: Wire = {
        "max_output_tokens": _limit(request, target),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_logprobs": request.top_logprobs,
        "parallel_tool_calls": request.parallel_tool_calls if request.tools else None,
        "user": request.user or None,
        "tools": encode_tools(request.tools) or None,
        "tool_choice": encode_choice(request) if request.tools else None,
        "text": _encode_text(request, kept),
        "reasoning": _encode_reasoning(request, target, kept, dropped),
    }
    body.update((name, value) for name, value in plain.items() if value is not None)
    _drop_comfort(request, dropped)
    body.update((name, raw) for name, raw in kept.items() if name not in ("text", "reasoning"))
    body.setdefault("store", False)
    more = _include(request, target, kept)
    if more:
        body["include"] = (fields.texts(kept, "include") or []) + more
    if not target.stream:
        body.pop("stream_options", None)
    return Encoded(path=PATH, body=wire.encode(body), dropped=dropped.names())


def _refuse_unsayable(request: Request) -> None:
    if request.stop:
        raise UnsupportedParameter(
            "This model's provider has no stop sequences (OpenAI's Responses API).", param="stop"
        )
    if request.n > 1:
        raise UnsupportedParameter(
            "This model's provider gives one answer a request (OpenAI's Responses API).", param="n"
        )


def _drop_comfort(request: Request, dropped: Dropped) -> None:
    """What steers the sampling a little, or only another vendor knows, and has no word here."""
    for name in ("top_k", "seed", "presence_penalty", "frequency_penalty"):
        if getattr(request, name) is not None:
            dropped.add(name)
    for protocol, others in request.extras.items():
        if protocol != NAME:
            for name in others:
                dropped.add(name)


def _split(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """The instructions, and the other messages: a first system message of one plain text."""
    if messages and messages[0].role == "system" and len(messages[0].parts) == 1:
        first = messages[0]
        only = first.parts[0]
        if isinstance(only, Text) and only.text and only.cache is None and not first.extras:
            return only.text, messages[1:]
    return "", messages


def _limit(request: Request, target: Target) -> int | None:
    limit = request.max_tokens or target.max_tokens
    if limit is None:
        return None
    if target.max_output_tokens:
        # The model cannot write more; asked for more, many refuse.
        limit = min(limit, target.max_output_tokens)
    # Agents probe with a limit of 1, which the API would refuse.
    return max(limit, OUTPUT_TOKENS_MIN)


def _include(request: Request, target: Target, kept: wire.Object) -> list[str]:
    """What the answer must hold besides what the client asked for."""
    asked = fields.texts(kept, "include") or []
    more = [LOGPROBS] if request.logprobs and LOGPROBS not in asked else []
    stored = "store" in kept and bytes(kept["store"]) == b"true"
    # Models that do not think refuse to be asked for it.
    if not stored and "reasoning" in target.capabilities and ENCRYPTED not in asked:
        more.append(ENCRYPTED)
    return more


def _encode_text(request: Request, kept: wire.Object) -> Wire | None:
    told = request.response_format
    text: Wire = dict(fields.table(kept, "text") or {})
    if told is None:
        return text or None
    if told.mode == "text":
        text["format"] = {"type": "text"}
    elif told.mode == "json":
        text["format"] = {"type": "json_object"}
    else:
        form: Wire = {"type": "json_schema", "name": told.name or "response"}
        if told.description:
            form["description"] = told.description
        form["schema"] = told.schema if told.schema is not None else {"type": "object"}
        if told.strict is not None:
            form["strict"] = told.strict
        text["format"] = form
    return text


def _encode_reasoning(
    request: Request, target: Target, kept: wire.Object, dropped: Dropped
) -> Wire | None:
    """The effort; a budget becomes the one that comes near it."""
    rest: Wire = dict(fields.table(kept, "reasoning") or {})
    config = request.reasoning
    if config is None:
        return rest or None
    if config.effort and (config.enabled or config.effort == "none"):
        effort = config.effort
    elif not config.enabled:
        # No word forbids thinking to every model: "none" is a 400 for most.
        if "reasoning" in target.capabilities:
            dropped.add("reasoning")
        return rest or None
    elif "reasoning" in target.capabilities and config.budget_tokens is not None:
        effort = _effort_of(config.budget_tokens)
    elif "reasoning" in target.capabilities:
        return {"summary": "auto"} | rest
    else:
        dropped.add("reasoning")
        return rest or None
    if NAME not in request.extras and effort != "none" and "reasoning" in target.capabilities:
        # Clients of other protocols expect to be shown the thoughts that they asked for.
        return {"effort": effort, "summary": "auto"}
    return {"effort": effort, **rest}


def _effort_of(budget_tokens: int) -> str:
    if budget_tokens <= 1024:
        return "low"
    return "medium" if budget_tokens <= 4096 else "high"
