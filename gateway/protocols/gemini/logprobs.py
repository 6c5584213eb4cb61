"""Log probabilities: Gemini's `logprobsResult` ↔ OpenAI's form, which is the one ours carries."""

import msgspec

from gateway.protocols.gemini import wire


class Token(msgspec.Struct):
    """A token in OpenAI's form."""

    token: str = ""
    logprob: float = 0.0
    top_logprobs: "list[Token] | None" = None


class Told(msgspec.Struct):
    content: list[Token] | None = None


_decode_told = msgspec.json.Decoder(Told).decode


def decode_logprobs(raw: wire.Raw) -> wire.Raw | None:
    """None where there are none, or what came is no such thing."""
    if not wire.is_set(raw):
        return None
    try:
        told = wire.decode_logprobs(raw)
    except msgspec.ValidationError:
        return None
    tops = told.top_candidates or []
    content = []
    for at, chosen in enumerate(told.chosen_candidates or ()):
        others = (tops[at].candidates or []) if at < len(tops) else []
        content.append(_token(chosen) | {"top_logprobs": [_token(other) for other in others]})
    return wire.raw({"content": content}) if content else None


def _token(told: wire.Logprob) -> wire.Json:
    return {
        "token": told.token,
        "logprob": told.log_probability,
        "bytes": list(told.token.encode()),
    }


def encode_logprobs(raw: wire.Raw) -> wire.Json | None:
    try:
        tokens = _decode_told(raw).content
    except msgspec.ValidationError:
        return None
    if not tokens:
        return None
    return {
        "chosenCandidates": [_candidate(token) for token in tokens],
        "topCandidates": [
            {"candidates": [_candidate(other) for other in token.top_logprobs or ()]}
            for token in tokens
        ],
    }


def _candidate(token: Token) -> wire.Json:
    return {"token": token.token, "logProbability": token.logprob}
