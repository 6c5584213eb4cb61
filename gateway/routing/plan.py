"""The plan of a request: its candidates in order, and the most that each can use.

A candidate is one offer of one model. What a request may cost at most is bounded by the bytes of
its body (no tokenizer makes more tokens than bytes), by published maxima for what the bytes do not
tell (images and files by reference), and by the model's own window.
"""

import msgspec

from accounts.types import Caller
from billing.types import Bound
from catalog.types import Model, Offer, PriceVersion, Snapshot
from ccapi.core.errors import (
    InvalidParameter,
    MissingParameter,
    ModelNotAllowed,
    ModelNotPriced,
    NoProviderAvailable,
)
from gateway import ports
from gateway.ir.request import Audio, File, Image, OtherTool, Part, Request, ToolResult
from gateway.protocols.base import Codec
from gateway.protocols.registry import CODECS
from gateway.routing import surcharges

MODELS_MAX = 16
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


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One offer that may answer, with the price that it is charged at."""

    model: Model
    offer: Offer
    codec: Codec
    price: PriceVersion
    bound: Bound


def candidates_for(
    snapshot: Snapshot, caller: Caller, request: Request, *, body_bytes: int
) -> tuple[Candidate, ...]:
    """The candidates in the order in which they are tried.

    Raises: MissingParameter, ModelNotFound, ModelNotAllowed, InvalidParameter,
    UnsupportedParameter, ModelNotPriced, NoProviderAvailable.
    """
    surcharges.check(request)
    models = [ports.resolve(snapshot, name) for name in _asked_for(request)]
    candidates = []
    for model in models:
        if not caller.may_call(model.id):
            raise ModelNotAllowed(
                f"This API key may not call {model.id!r}. GET /models lists those that it may."
            )
        if model.type != "chat":
            raise InvalidParameter(
                f"{model.id!r} is a model of type {model.type!r}, not chat.", param="model"
            )
        if model.price is not None:
            bound = _bound(model, model.price, request, body_bytes)
            candidates += [
                Candidate(
                    model=model,
                    offer=offer,
                    codec=CODECS[offer.provider.protocol],
                    price=model.price,
                    bound=bound,
                )
                for offer in model.offers
                if offer.provider.protocol in CODECS
            ]
    if not candidates:
        if all(model.price is None for model in models):
            raise ModelNotPriced(f"{models[0].id!r} has no approved price at this time.")
        raise NoProviderAvailable(f"No provider of {models[0].id!r} is available at this time.")
    return tuple(candidates)


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
    window = model.context_length or WINDOW_TOKENS_MAX
    known = body_bytes + TOKENS_AROUND + TOKENS_AROUND_MESSAGE * len(request.messages)
    for message in request.messages:
        known += sum(_beyond_bytes(part, window) for part in message.parts)
    return Bound(
        price=price,
        input_tokens=min(known, window),
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
