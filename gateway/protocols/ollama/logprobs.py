"""Log probabilities: Ollama's list of tokens ↔ OpenAI's form, which is the one ours carries."""

import msgspec

from gateway.protocols.ollama import wire


class Told(msgspec.Struct):
    content: list[wire.Raw] | None = None


_decode_told = msgspec.json.Decoder(Told).decode


def decode_logprobs(raw: wire.Raw) -> wire.Raw | None:
    """None where there are none, or what came is no list."""
    if not wire.is_set(raw) or wire.first(raw) != b"[":
        return None
    return wire.raw({"content": raw})


def encode_logprobs(raw: wire.Raw | None) -> dict[str, object]:
    """The field of a line; none where no token is told."""
    if raw is None:
        return {}
    try:
        tokens = _decode_told(raw).content
    except msgspec.ValidationError:
        return {}
    return {"logprobs": tokens} if tokens else {}
