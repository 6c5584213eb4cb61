"""Who may make the pictures, in which order, at what price: planned once, when a job is accepted.

The plan is written on the job, so that what a job costs does not depend on when a worker comes to
it. Keys and addresses are those of now; an offer that is no longer in the catalog drops out.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from accounts.types import Caller
from billing.types import Bound
from catalog.api import price_version
from catalog.types import Model, Offer, PriceVersion, Snapshot
from ccapi.core.errors import (
    InvalidParameter,
    ModelNotAllowed,
    ModelNotPriced,
    NoProviderAvailable,
    UnsupportedParameter,
)
from gateway.routing import groups
from gateway.routing.plan import IMAGE_TOKENS_MAX, MODELS_MAX, TARGETS_MAX, TOKENS_AROUND, in_order
from media_jobs.drivers.base import Driver, Target
from media_jobs.drivers.registry import driver_for
from media_jobs.types import ImageRequest


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """One offer that may make the pictures."""

    model: Model
    offer: Offer
    price: PriceVersion
    driver: Driver
    variant: tuple[str, str] = ("", "")  # size and quality as its prices name them

    def target(self, key: str) -> Target:
        return Target(
            provider=self.offer.provider,
            model=self.model,
            upstream_model=self.offer.upstream_model,
            key=key,
        )


class Entry(msgspec.Struct, kw_only=True):
    """An offer as it stands in a job's plan. `is_spent`: it took the work, and failed.

    `sandbox`: the model's name at the sandbox, which may have a number that the catalog has not.
    """

    model: str
    offer: int
    price: int
    variant: tuple[str, str] = ("", "")
    is_spent: bool = False
    sandbox: str = ""


def offered_for(
    snapshot: Snapshot, caller: Caller, request: ImageRequest, *, seed: int
) -> tuple[Offered, ...]:
    """The offers for a request, in order. The same seed gives the same order.

    Those that cannot do what is asked are left out. Raises: GroupNotFound, ModelNotFound,
    ModelNotAllowed, InvalidParameter, UnsupportedParameter, ModelNotPriced, NoProviderAvailable.
    """
    models = _models(snapshot, caller, request.models, seed)
    found: list[Offered] = []
    refusal: UnsupportedParameter | None = None
    for model in models:
        for offered in _offers(model, seed):
            try:
                offered.driver.check(request, offered.target(""))
            except UnsupportedParameter as error:
                refusal = refusal or error
            else:
                variant = offered.driver.variant(request, offered.target(""))
                found.append(msgspec.structs.replace(offered, variant=variant))
    if found:
        return tuple(found)
    if refusal is not None:
        raise refusal
    raise _nobody(models)


def check(snapshot: Snapshot, caller: Caller, request: ImageRequest, *, seed: int) -> None:
    """Whether anybody could be asked, before the pictures of a request are there.

    Raises: as `offered_for`, but for what depends on those pictures.
    """
    models = _models(snapshot, caller, request.models, seed)
    if not any(True for model in models for _ in _offers(model, seed)):
        raise _nobody(models)


def _nobody(models: Sequence[Model]) -> ModelNotPriced | NoProviderAvailable:
    if all(model.price is None for model in models):
        return ModelNotPriced(f"{models[0].id!r} has no approved price at this time.")
    return NoProviderAvailable(f"No provider of {models[0].id!r} is available at this time.")


def _models(snapshot: Snapshot, caller: Caller, names: Sequence[str], seed: int) -> Sequence[Model]:
    if len(names) > MODELS_MAX:
        raise InvalidParameter(
            f"`models` names {len(names)} models; the most is {MODELS_MAX}.", param="models"
        )
    models: dict[str, Model] = {}
    for name in names:
        for model in groups.resolve(snapshot, caller, name, seed=seed, kind="image").models:
            models.setdefault(model.id, model)
    if len(models) > TARGETS_MAX:
        raise InvalidParameter(
            f"`models` comes to {len(models)} models; the most is {TARGETS_MAX}.", param="models"
        )
    for model in models.values():
        if not caller.may_call(model.id):
            raise ModelNotAllowed(
                f"This API key may not call {model.id!r}. GET /models lists those that it may."
            )
        if model.type != "image":
            raise InvalidParameter(
                f"{model.id!r} is a model of type {model.type!r}, not image.", param="model"
            )
    return list(models.values())


def _offers(model: Model, seed: int) -> Iterable[Offered]:
    if model.price is None:
        return
    for offer in in_order(model.offers, seed):
        driver = driver_for(offer.provider.protocol)
        if driver is not None:
            yield Offered(model=model, offer=offer, price=model.price, driver=driver)


def bound(offered: Offered, request: ImageRequest) -> Bound:
    """The most that this offer can cost."""
    pictures = len(request.images) + (request.mask is not None)
    text = len(request.prompt.encode()) + len(request.negative_prompt.encode())
    return Bound(
        price=offered.price,
        input_tokens=text + TOKENS_AROUND + IMAGE_TOKENS_MAX * pictures,
        output_tokens=0,
        images=request.count,
        variant=offered.variant,
    )


def written(offered: Iterable[Offered]) -> list[dict[str, Any]]:
    """The plan as it stands on the job."""
    return [
        msgspec.to_builtins(
            Entry(
                model=each.model.id,
                offer=each.offer.id,
                price=each.price.id,
                variant=each.variant,
                sandbox=each.offer.upstream_model if each.offer.provider.is_sandbox else "",
            )
        )
        for each in offered
    ]


def read(snapshot: Snapshot, plan: object) -> list[tuple[Entry, Offered]]:
    """The plan as it can be followed now: what the catalog still offers."""
    found: list[tuple[Entry, Offered]] = []
    for entry in msgspec.convert(plan, list[Entry]):
        model = snapshot.models.get(entry.model)
        offers = model.offers if model is not None else ()
        offer = next((each for each in offers if each.id == entry.offer), None)
        if model is None or offer is None:
            continue
        driver = driver_for(offer.provider.protocol)
        if driver is None:
            continue
        if entry.sandbox:
            offer = msgspec.structs.replace(offer, upstream_model=entry.sandbox)
        is_current = model.price is not None and model.price.id == entry.price
        price = model.price if is_current else price_version(entry.price)
        if price is None:
            continue
        offered = Offered(
            model=model, offer=offer, price=price, driver=driver, variant=entry.variant
        )
        found.append((entry, offered))
    return found
