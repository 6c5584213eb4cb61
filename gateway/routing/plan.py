"""The plan of a request: its candidates in order, and the most that each can use.

A candidate is one offer of one model, and what it is asked: the client's request, under the rules
of the group that its name led through (`groups`, `rules`). A model's offers come before the next
model: the lowest priority number first, those of equal priority at random by their weights. What a
request may cost at most is bounded by the bytes of its body (no tokenizer makes more tokens than
bytes) with those that the rules add, by published maxima for what the bytes do not tell (images and
files by reference), and by the model's own window.
"""

import random
from collections.abc import Sequence

import msgspec

from accounts.types import Caller
from billing.types import Bound
from catalog.types import Group, Model, ModelType, Offer, PriceVersion, Snapshot
from ccapi.core.errors import (
    InvalidParameter,
    MissingParameter,
    ModelNotAllowed,
    ModelNotPriced,
    NoProviderAvailable,
)
from gateway.embeddings.registry import UPSTREAMS as VECTORS
from gateway.ir.request import Audio, File, Image, OtherTool, Part, Request, ToolResult
from gateway.protocols.base import Codec
from gateway.protocols.registry import CODECS
from gateway.routing import groups, rules, surcharges
from gateway.speech import bounds as spoken
from gateway.speech.registry import UPSTREAMS as SPEECH
from gateway.tool_compat.prompt import told_in_text

MODELS_MAX = 16
TARGETS_MAX = 64  # models behind all names of a request
# What a chat template and a tool preamble add around the text (Anthropic's largest tool preamble is
# 530).
TOKENS_AROUND = 1024
TOKENS_AROUND_MESSAGE = 16
# The dearest image of a current model: gpt-4o-mini counts 2,833 + 5,667 a tile, eight tiles at
# most. Source: OpenAI's guide "Images and vision", "Calculating costs".
IMAGE_TOKENS_MAX = 50_000
# A file or audio by reference can fill the window; where that is unknown, the largest window sold
# today.
WINDOW_TOKENS_MAX = 2_000_000
# The output of a model whose maximum the catalog does not know; sent upstream as max_tokens, so it
# holds.
OUTPUT_TOKENS_DEFAULT = 8192
SEARCHES_MAX = 10

# Who can be asked, by what for.
_CODECS: dict[ModelType, dict[str, Codec]] = {
    "chat": CODECS,
    "embedding": VECTORS,
    "audio": SPEECH,
}

_encode = msgspec.json.Encoder().encode


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One offer that may answer, with the price that it is charged at."""

    model: Model
    offer: Offer
    codec: Codec
    price: PriceVersion
    bound: Bound
    # The request as the rules of a group make it; None: as it came.
    ruled: Request | None = None
    compat: bool = False  # its tools are told in the prompt, and read from the answer's text
    body_bytes: int = 0  # of the request as it is asked, at most


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the candidates behind one name are asked."""

    request: Request
    ruled: Request | None
    compat: bool
    body_bytes: int


def candidates_for(
    snapshot: Snapshot,
    caller: Caller,
    request: Request,
    *,
    body_bytes: int,
    seed: int,
    group: str = "",
    compat: bool = False,
    kind: ModelType = "chat",
) -> tuple[Candidate, ...]:
    """The candidates in the order in which they are tried. The same seed gives the same order.

    `kind` is what the route asks for: models of another type are refused, and the rules of groups
    are for chat alone.
    `group` and `compat` are what the path says of the group ("" for none) and of tools.
    Raises: MissingParameter, GroupNotFound, ModelNotFound, ModelNotAllowed, InvalidParameter,
    UnsupportedParameter, ModelNotPriced, NoProviderAvailable, RequestTooLarge.
    """
    surcharges.check(request)
    models: dict[str, tuple[Model, _Asked]] = {}
    plain: _Asked | None = None
    for name in _asked_for(request):
        found = groups.resolve(snapshot, caller, name, prefix=group, seed=seed, kind=kind)
        if found.group is not None and kind == "chat":
            asked = _asked(request, found.group, found.alias, body_bytes, compat=compat)
        else:
            asked = plain = plain or _asked(request, None, "", body_bytes, compat=compat)
        for model in found.models:
            models.setdefault(model.id, (model, asked))
    if len(models) > TARGETS_MAX:
        raise InvalidParameter(
            f"`models` comes to {len(models)} models; the most is {TARGETS_MAX}.", param="models"
        )
    return _candidates(caller, list(models.values()), seed, kind)


def _asked(
    request: Request, group: Group | None, alias: str, body_bytes: int, *, compat: bool
) -> _Asked:
    """The request under a group's rules, and how long that is at most."""
    ruled = None if group is None else rules.ruled(request, group, alias)
    asked = request if ruled is None else ruled
    size = body_bytes
    if ruled is not None and ruled.messages is not request.messages:
        size += max(0, len(_encode(ruled.messages)) - len(_encode(request.messages)))
    told = rules.is_compat(group, path=compat) and bool(asked.tools)
    if told:
        size = max(size, len(_encode(told_in_text(asked, "cs").messages)))
    return _Asked(request=asked, ruled=ruled, compat=told, body_bytes=size)


def _candidates(
    caller: Caller, models: Sequence[tuple[Model, _Asked]], seed: int, kind: ModelType
) -> tuple[Candidate, ...]:
    candidates: list[Candidate] = []
    codecs = _CODECS.get(kind, {})
    for model, asked in models:
        if not caller.may_call(model.id):
            raise ModelNotAllowed(
                f"This API key may not call {model.id!r}. GET /models lists those that it may."
            )
        if model.type != kind:
            raise InvalidParameter(
                f"{model.id!r} is a model of type {model.type!r}, not {kind}.", param="model"
            )
        if model.price is not None:
            bound = _bound(model, model.price, asked.request, asked.body_bytes)
            candidates += [
                Candidate(
                    model=model,
                    offer=offer,
                    codec=codecs[offer.provider.protocol],
                    price=model.price,
                    bound=bound,
                    ruled=asked.ruled,
                    compat=asked.compat,
                    body_bytes=asked.body_bytes,
                )
                for offer in in_order(model.offers, seed)
                if offer.provider.protocol in codecs
            ]
    if not candidates:
        first = models[0][0].id
        if all(model.price is None for model, _ in models):
            raise ModelNotPriced(f"{first!r} has no approved price at this time.")
        raise NoProviderAvailable(f"No provider of {first!r} is available at this time.")
    return tuple(candidates)


def in_order(offers: Sequence[Offer], seed: int) -> Sequence[Offer]:
    """By priority; of equal ones, each comes first as often as its weight says.

    An offer of weight 0 comes after those of its priority that have one.
    """
    if len(offers) < 2:
        return offers
    draw = random.Random(seed).random  # noqa: S311 — spreads calls, keeps no secret
    # The largest of u^(1/w) is each offer with a chance of w in all (Efraimidis and Spirakis 2006).
    keys = [
        (each.priority, -(draw() ** (1 / each.weight)) if each.weight else 1) for each in offers
    ]
    return [offers[at] for at in sorted(range(len(offers)), key=keys.__getitem__)]


def _asked_for(request: Request) -> list[str]:
    names = list(dict.fromkeys(name for name in (request.model, *request.models) if name))
    if not names:
        raise MissingParameter("`model` is missing: name one, see GET /models.", param="model")
    if len(names) > MODELS_MAX:
        raise InvalidParameter(
            f"`models` names {len(names)} models; the most is {MODELS_MAX}.", param="models"
        )
    return names


def _bound(model: Model, price: PriceVersion, request: Request, body_bytes: int) -> Bound:
    if model.type == "audio":
        return spoken.bound(model, price, request)
    window = model.context_length or WINDOW_TOKENS_MAX
    known = body_bytes + TOKENS_AROUND + TOKENS_AROUND_MESSAGE * len(request.messages)
    for message in request.messages:
        known += sum(_beyond_bytes(part, window) for part in message.parts)
    return Bound(
        price=price,
        # The window of a model of vectors is that of each input, of which there may be many.
        input_tokens=known if model.type == "embedding" else min(known, window),
        output_tokens=output_tokens_max(model, request.max_tokens) * max(1, request.n),
        web_searches=sum(
            SEARCHES_MAX
            for tool in request.tools
            if isinstance(tool, OtherTool) and "search" in tool.kind
        ),
    )


def output_tokens_max(model: Model, stated: int | None) -> int:
    """The most one answer can write, in tokens: the client's word, within the model's."""
    ceiling = model.max_output_tokens or model.context_length
    if stated is None:
        return ceiling or OUTPUT_TOKENS_DEFAULT
    return min(stated, ceiling) if ceiling else stated


def _beyond_bytes(part: Part, window: int) -> int:
    """Tokens that a part may mean beyond the bytes by which it came."""
    match part:
        case Image():
            return IMAGE_TOKENS_MAX
        case File() | Audio():
            return 0 if isinstance(part, File) and part.text else window
        case ToolResult():
            return sum(_beyond_bytes(inner, window) for inner in part.parts)
        case _:
            return 0
