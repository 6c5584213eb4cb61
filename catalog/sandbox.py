"""Sandbox models with a number: `sandbox/stall:2` is `sandbox/stall`, told to stall for 2 seconds.

The number goes to the sandbox as it is, which knows what it means (or that it means nothing, and
says that there is no such model). All else is the model of the catalog: its id on receipts, its
price, and who may call it.
"""

import re

import msgspec

from catalog.types import Model, Snapshot

_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,9})?", re.ASCII)


def with_number(snapshot: Snapshot, name: str) -> Model | None:
    """The sandbox model of `provider/name:NUMBER`; None where it is not one."""
    base, colon, number = name.rpartition(":")
    model = snapshot.models.get(base)
    if not colon or model is None or len(model.offers) != 1:
        return None
    offer = model.offers[0]
    if not offer.provider.is_sandbox or not _NUMBER.fullmatch(number):
        return None
    # To Replicate a colon is a version.
    mark = "." if offer.provider.protocol == "replicate" else ":"
    told = msgspec.structs.replace(offer, upstream_model=f"{offer.upstream_model}{mark}{number}")
    return msgspec.structs.replace(model, offers=(told,))
