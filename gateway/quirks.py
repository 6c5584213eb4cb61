"""Where one vendor deviates from the protocol it speaks: one named function each, with its source.

A quirk changes an encoded upstream request; it never sees the client's.
"""

from collections.abc import Callable

import msgspec

from gateway.protocols.base import Body, Encoded

Quirk = Callable[[Encoded], Encoded]


def without_stream_options(encoded: Encoded) -> Encoded:
    """Mistral refuses `stream_options` with a 422 and sends usage on the last chunk unasked.

    Source: Mistral API reference, "Chat completion" (its schema forbids unknown fields).
    """
    body: Body = msgspec.json.decode(encoded.body, type=dict[str, msgspec.Raw])
    if body.pop("stream_options", None) is None:
        return encoded
    return msgspec.structs.replace(encoded, body=msgspec.json.encode(body))


QUIRKS: dict[str, tuple[Quirk, ...]] = {
    "mistral": (without_stream_options,),
}


def apply(provider: str, encoded: Encoded) -> Encoded:
    """The request as this provider wants it."""
    for quirk in QUIRKS.get(provider, ()):
        encoded = quirk(encoded)
    return encoded
