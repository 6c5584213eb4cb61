"""A request → the body for an upstream that speaks Gemini's protocol.

`encode_request` builds it from our `Request`; `direct_request` takes the client's own body. What
the protocol has no counterpart for is reported as dropped, or refused where that would change the
answer.
"""

from urllib.parse import quote

import msgspec

from ccapi.core.errors import UnsupportedParameter
from gateway.ir.request import Request, ResponseFormat
from gateway.protocols.base import Body, Encoded, Target
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.contents_out import OLDER, Dropped, encode_contents, sign_current_turn
from gateway.protocols.gemini.request import IN_CONFIG, JSON_TYPE, OUR_FIELDS
from gateway.protocols.gemini.signatures import SEALED
from gateway.protocols.gemini.thinking import encode_thinking
from gateway.protocols.gemini.tools import encode_tools
from gateway.protocols.shared.offers import without_offers
from gateway.protocols.shared.results import in_order_of_calls

_SEALED = f'"{SEALED}'.encode()
_CALLS = (b'"functionCall"', b'"function_call"')
_LIMITS = frozenset({"maxOutputTokens", "max_output_tokens"})


def path(target: Target) -> str:
    """Below `…/v1beta`; the model's name may hold slashes (`tunedModels/…`)."""
    name = quote(target.upstream_model, safe="/@.-_")
    model = name if name.startswith(("models/", "tunedModels/")) else f"models/{name}"
    if target.stream:
        return f"/{model}:streamGenerateContent?alt=sse"
    return f"/{model}:generateContent"


def encode_request(request: Request, target: Target) -> Encoded:
    """Raises: UnsupportedParameter."""
    request, offers = without_offers(request, wire.NAME)
    dropped: Dropped = dict.fromkeys(offers)
    own = dict(request.extras.get(wire.NAME, {}))
    system, contents = encode_contents(
        in_order_of_calls(request.messages), model=target.upstream_model, dropped=dropped
    )
    body: wire.Json = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    body |= encode_tools(request)
    config = _config(request, target, dropped)
    for name in [name for name in own if name.startswith(IN_CONFIG)]:
        config[name.removeprefix(IN_CONFIG)] = own.pop(name)
    if config:
        body["generationConfig"] = config
    _report(request, dropped)
    sent = wire.encode(body | own)
    return Encoded(path=path(target), body=sent, dropped=tuple(dropped))


def _config(request: Request, target: Target, dropped: Dropped) -> wire.Json:
    limit = request.max_tokens or target.max_tokens
    if limit is not None and target.max_output_tokens:
        # The model cannot write more, and refuses to be asked for it.
        limit = min(limit, target.max_output_tokens)
    thinking = None
    if request.reasoning is not None:
        thinking = encode_thinking(request.reasoning, target.upstream_model)
        if thinking is None and request.reasoning.enabled:
            dropped["reasoning"] = None
    plain: wire.Json = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "maxOutputTokens": limit,
        "stopSequences": request.stop or None,
        "candidateCount": request.n if request.n != 1 else None,
        "seed": request.seed,
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
        "responseLogprobs": request.logprobs,
        "logprobs": request.top_logprobs or None,
        "thinkingConfig": thinking,
    }
    told = {name: value for name, value in plain.items() if value is not None}
    return told | _format(request.response_format)


def _format(form: ResponseFormat | None) -> wire.Json:
    if form is None or form.mode == "text":
        return {}
    told: wire.Json = {"responseMimeType": JSON_TYPE}
    if form.mode == "schema" and form.schema is not None:
        told["responseJsonSchema"] = form.schema
    return told


def _report(request: Request, dropped: Dropped) -> None:
    """Names of what stays behind."""
    if request.user:
        dropped["user"] = None
    if request.parallel_tool_calls is False and request.tools:
        dropped["parallel_tool_calls"] = None
    for protocol, fields in request.extras.items():
        if protocol != wire.NAME:
            dropped.update(dict.fromkeys(fields))


def direct_request(body: Body, target: Target) -> Encoded:
    """The client's own body without what stands in the path.

    Contents are touched only where a client of ours sends back signatures that another protocol
    made, or calls of the current turn that have none and need one. Raises: UnsupportedParameter.
    """
    sent = {name: raw for name, raw in body.items() if name not in OUR_FIELDS}
    contents = sent.get("contents")
    dropped: tuple[str, ...] = ()
    if contents is not None:
        written = bytes(contents)
        sealed = _SEALED in written
        signs = not OLDER.search(target.upstream_model) and any(call in written for call in _CALLS)
        if sealed or signs:
            repaired = _repaired(contents, sealed=sealed, signs=signs)
            sent["contents"] = repaired or contents
            dropped = ("contents.thoughtSignature",) if sealed else ()
    if target.max_tokens is not None:
        _cap(sent, target.max_tokens)
    return Encoded(path=path(target), body=wire.encode(sent), dropped=dropped)


def _cap(sent: Body, limit: int) -> None:
    """The limit that the wallet imposes, where the client named none."""
    name = "generation_config" if "generation_config" in sent else "generationConfig"
    config = sent.get(name)
    try:
        told = wire.decode_object(config) if config is not None and wire.is_set(config) else {}
    except msgspec.DecodeError:
        return  # for the provider to refuse
    if not any(key in _LIMITS and wire.is_set(value) for key, value in told.items()):
        sent[name] = wire.raw(told | {"maxOutputTokens": wire.raw(limit)})


def _repaired(contents: wire.Raw, *, sealed: bool, signs: bool) -> wire.Raw | None:
    """The contents as Gemini takes them; None where they are to stay byte for byte."""
    try:
        told: list[wire.Json] = []
        for raw in wire.decode_raws(contents):
            content = wire.spelled(wire.decode_object(raw))
            raws = wire.decode_raws(content.get("parts", wire.Raw(b"[]")))
            parts = [_unsealed(wire.spelled(wire.decode_object(part))) for part in raws]
            role = msgspec.json.decode(content["role"]) if "role" in content else "user"
            told.append({**content, "role": role, "parts": [part for part in parts if part]})
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # for the provider to refuse
    told = [content for content in told if content["parts"]]
    if not told:
        raise UnsupportedParameter("contents: none of them has content.", param="contents")
    signed = signs and sign_current_turn(told)
    return wire.raw(told) if sealed or signed else None


def _unsealed(part: wire.Object) -> wire.Json:
    """The part without a foreign signature; empty where nothing but foreign thoughts was in it."""
    signature = part.get("thoughtSignature")
    if signature is None or not bytes(signature).startswith(_SEALED):
        return dict(part)
    if bytes(part.get("thought", wire.NOTHING)) == b"true":
        return {}
    return {name: value for name, value in part.items() if name != "thoughtSignature"}
