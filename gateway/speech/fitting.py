"""How what is asked fits each candidate, found out before anything is held.

A candidate that cannot say it stays in the list and is passed over when its turn comes, as one that
cannot honour a parameter is; where none can, the first one's reason is the answer.
"""

import msgspec

from ccapi.core.errors import (
    GatewayError,
    InvalidRequest,
    UnsupportedParameter,
)
from gateway.ir.request import Request
from gateway.routing.plan import Candidate
from gateway.speech import keeping, listing
from gateway.speech.speaker import Speaker
from gateway.speech.values import Fit, Spoken, fitted, spoken_of
from gateway.speech.voices import UnknownVoice


async def fit(candidates: tuple[Candidate, ...], request: Request) -> tuple[Candidate, ...]:
    """Raises: InvalidParameter, UnsupportedParameter, ContextLengthExceeded where nobody can."""
    spoken = spoken_of(request)
    if spoken.delivery == "url" and not keeping.is_there():
        raise UnsupportedParameter(
            "'response_format' url: this server keeps no files. Ask for b64_json, or for audio.",
            param="response_format",
        )
    first: GatewayError | None = None
    fits: list[Candidate] = []
    able = False
    for candidate in candidates:
        try:
            found = await _fit(candidate, spoken)
            able = True
        except InvalidRequest as error:
            first = first or error
            found = Fit(refusal=error.message, param=error.param or "")
        fits.append(msgspec.structs.replace(candidate, ruled=fitted(request, spoken, found)))
    if not able and first is not None:
        raise first
    return tuple(fits)


async def _fit(candidate: Candidate, spoken: Spoken) -> Fit:
    codec = candidate.codec
    if not isinstance(codec, Speaker):
        raise TypeError(f"{codec.name} does not speak")
    offer = candidate.offer
    by_token = "input_characters" not in candidate.price.rates
    try:
        return codec.fit(spoken, offer, listing.known(offer.provider), by_token=by_token)
    except UnknownVoice:
        if not codec.lists_voices:
            raise
    # It may be new in the account, or nobody has asked yet.
    own = await listing.own_voices(offer.provider, age_s=listing.AGAIN_S)
    return codec.fit(spoken, offer, own, by_token=by_token)
