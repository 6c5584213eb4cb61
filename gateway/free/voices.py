"""The voices that can be asked for, by provider: what vendors publish, and our accounts' own.

A provider whose list does not come in time shows what is known of it.
"""

import asyncio
from collections.abc import Iterable
from uuid import UUID

from catalog.types import Model, Offer
from ccapi.core.errors import InvalidParameter, ProviderNotFound
from gateway.free.answers import Asked, Json
from gateway.free.names import SHOWN
from gateway.speech import listing, voices
from gateway.speech.voices import Voice


async def list_voices(asked: Asked, request_id: UUID) -> Json:
    """Of `?model=`, of `?provider=`, or of every model that the key may call."""
    del request_id
    offers = _offers(asked)
    providers = {offer.provider.id: offer.provider for _, offer in offers}
    own = dict(
        zip(
            providers,
            await asyncio.gather(*map(listing.own_voices, providers.values())),
            strict=True,
        )
    )
    told: dict[tuple[str, str], Json] = {}
    models: dict[tuple[str, str], list[str]] = {}
    for model, offer in offers:
        name = offer.provider.name
        for voice in _spoken(offer, own[offer.provider.id]):
            key = name, voice.id or voice.name
            told.setdefault(key, _voice(voice, name))
            if model.id not in models.setdefault(key, []):
                models[key].append(model.id)
    data = [{**told[key], "models": models[key]} for key in sorted(told)]
    return {"object": "list", "data": data}


def _offers(asked: Asked) -> list[tuple[Model, Offer]]:
    """Raises: ModelNotFound, ProviderNotFound, InvalidParameter."""
    named, provider = asked.query.get("model"), asked.query.get("provider")
    if named:
        model = asked.one(named).model
        if model.type != "audio":
            raise InvalidParameter(
                f"{model.id!r} is a model of type {model.type!r}, which has no voices.",
                param="model",
            )
        models: Iterable[Model] = (model,)
    else:
        models = (each.model for each in asked.named() if each.model.type == "audio")
    offers = [(model, offer) for model in models for offer in model.offers]
    if provider:
        if provider not in asked.snapshot.providers:
            raise ProviderNotFound(
                f"There is no provider {provider[:SHOWN]!r}. See GET /providers."
            )
        offers = [each for each in offers if each[1].provider.name == provider]
    return offers


def _spoken(offer: Offer, own: Iterable[Voice]) -> list[Voice]:
    if offer.provider.protocol == "elevenlabs":
        return list({voice.id: voice for voice in (*voices.ELEVENLABS, *own)}.values())
    return [Voice(name=name) for name in voices.published(offer.upstream_model)]


def _voice(voice: Voice, provider: str) -> Json:
    return {
        "id": voice.id or voice.name,
        "object": "voice",
        "name": voice.name,
        "description": voice.description,
        "provider": provider,
    }
