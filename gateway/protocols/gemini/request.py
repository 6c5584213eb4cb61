"""A client's body → our `Request`; its contents are read in `contents_in`, its tools in `tools`.

`model`, `stream` and `alt` stand in the path and in the query of Gemini's API; the route puts them
into the body. Fields without a counterpart of ours stand in `extras["gemini"]` as they came, those
of `generationConfig` by their full name (`generationConfig.speechConfig`).

Source: https://ai.google.dev/api/generate-content
"""

import msgspec

from ccapi.core.errors import InvalidParameter, MissingParameter
from gateway.ir.request import Message, ReasoningConfig, Request, ResponseFormat
from gateway.protocols.base import Body
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.contents_in import Calls, decode_contents, decode_parts
from gateway.protocols.gemini.schemas import to_json_schema
from gateway.protocols.gemini.tools import choice_says_all, decode_choice, decode_tools
from gateway.protocols.shared import fields

# What the route adds and what is CCAPI's own: never sent to a provider.
OUR_FIELDS = frozenset({"model", "models", "stream", "alt"})
TEMPERATURE_MAX = 2.0
JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain"
IN_CONFIG = "generationConfig."

_KNOWN = OUR_FIELDS | {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
_KNOWN_CONFIG = frozenset(
    {
        "temperature", "topP", "topK", "maxOutputTokens", "stopSequences", "candidateCount",
        "seed", "presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs",
        "responseJsonSchema", "thinkingConfig",
    }
)  # fmt: skip
_LEVELS = ("minimal", "low", "medium", "high")


def decode_request(body: Body) -> Request:
    """Raises: MissingParameter, InvalidParameter, with `param` as `contents[0].parts[1].text`."""
    try:
        return _decode(wire.spelled(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"The body is not valid JSON in UTF-8: {error}.") from error


def _decode(body: Body) -> Request:
    models = tuple(fields.texts(body, "models") or ())
    model = fields.text(body, "model") or (models[0] if models else "")
    if not model:
        raise MissingParameter("'model' is required.", param="model")
    contents = _contents(body)
    config = wire.spelled(fields.table(body, "generationConfig") or {})
    top_logprobs = fields.integer(config, "logprobs", minimum=0, within=IN_CONFIG)
    return Request(
        model=model.removeprefix("models/"),
        models=models,
        messages=(*_system(body), *contents),
        stream=fields.flag(body, "stream") or False,
        array=fields.text(body, "alt") == "json",
        max_tokens=fields.integer(config, "maxOutputTokens", minimum=1, within=IN_CONFIG),
        temperature=_fraction(config, "temperature", maximum=TEMPERATURE_MAX),
        top_p=_fraction(config, "topP", maximum=1.0),
        top_k=fields.integer(config, "topK", minimum=0, within=IN_CONFIG),
        stop=tuple(fields.texts(config, "stopSequences", within=IN_CONFIG) or ()),
        seed=fields.integer(config, "seed", within=IN_CONFIG),
        n=fields.integer(config, "candidateCount", minimum=1, within=IN_CONFIG) or 1,
        presence_penalty=fields.number(config, "presencePenalty", within=IN_CONFIG),
        frequency_penalty=fields.number(config, "frequencyPenalty", within=IN_CONFIG),
        logprobs=fields.flag(config, "responseLogprobs", within=IN_CONFIG),
        top_logprobs=top_logprobs,
        tools=decode_tools(body),
        tool_choice=decode_choice(body),
        response_format=_response_format(config),
        reasoning=_reasoning(config),
        include_usage=True,
        extras=_extras(body, config),
    )


def _contents(body: Body) -> list[Message]:
    told = fields.get(body, "contents")
    if told is None:
        raise MissingParameter("'contents' is required.", param="contents")
    if wire.first(told) == b"{":
        contents = [fields.table(body, "contents") or {}]
    else:
        contents = fields.tables(body, "contents") or []
    if not contents:
        raise InvalidParameter("'contents' must not be empty.", param="contents")
    return decode_contents(contents)


def _system(body: Body) -> tuple[Message, ...]:
    told = fields.table(body, "systemInstruction")
    if told is None:
        return ()
    parts = decode_parts(wire.spelled(told), "systemInstruction.", Calls())
    return (Message(role="system", parts=parts),) if parts else ()


def _fraction(config: wire.Object, name: str, *, maximum: float) -> float | None:
    value = fields.number(config, name, within=IN_CONFIG)
    if value is not None and not 0 <= value <= maximum:
        param = IN_CONFIG + name
        raise InvalidParameter(
            f"'{param}' must be between 0 and {maximum:g}, not {value}.", param=param
        )
    return value


def _response_format(config: wire.Object) -> ResponseFormat | None:
    kind = fields.text(config, "responseMimeType", within=IN_CONFIG)
    if kind != JSON_TYPE:
        # `text/x.enum` is Gemini's own, and text is what all others give anyway.
        return None
    schema = fields.get(config, "responseJsonSchema") or fields.get(config, "_responseJsonSchema")
    subset = fields.get(config, "responseSchema")
    if schema is None and subset is not None:
        try:
            schema = to_json_schema(subset)
        except msgspec.DecodeError:
            param = IN_CONFIG + "responseSchema"
            raise InvalidParameter(f"'{param}' must be an object.", param=param) from None
    if schema is None:
        return ResponseFormat(mode="json")
    return ResponseFormat(mode="schema", schema=schema)


def _reasoning(config: wire.Object) -> ReasoningConfig | None:
    """A budget of 0 forbids thinking, -1 leaves it to the model.

    Source: https://ai.google.dev/gemini-api/docs/thinking#set-budget
    """
    at = IN_CONFIG + "thinkingConfig."
    told = wire.spelled(fields.table(config, "thinkingConfig", within=IN_CONFIG) or {})
    level = (fields.text(told, "thinkingLevel", within=at) or "").lower()
    budget = fields.integer(told, "thinkingBudget", minimum=-1, within=at)
    shown = fields.flag(told, "includeThoughts", within=at)
    if budget == 0:
        return ReasoningConfig(enabled=False)
    if level in _LEVELS:
        return ReasoningConfig(effort=level)
    if budget is not None and budget > 0:
        return ReasoningConfig(budget_tokens=budget)
    return ReasoningConfig() if budget == -1 or shown else None


def _extras(body: Body, config: wire.Object) -> dict[str, dict[str, wire.Raw]]:
    """What no type of ours says; fields of `generationConfig` under their full name."""
    own = {name: raw for name, raw in body.items() if name not in _KNOWN and wire.is_set(raw)}
    known = _KNOWN_CONFIG
    if fields.text(config, "responseMimeType", within=IN_CONFIG) in (None, JSON_TYPE, TEXT_TYPE):
        known |= {"responseMimeType", "responseSchema", "_responseJsonSchema"}
    if fields.texts(config, "responseModalities", within=IN_CONFIG) == ["TEXT"]:
        known |= {"responseModalities"}
    own |= {
        IN_CONFIG + name: raw
        for name, raw in config.items()
        if name not in known and wire.is_set(raw)
    }
    if not choice_says_all(body):
        own["toolConfig"] = body["toolConfig"]
    return {wire.NAME: own} if own else {}
