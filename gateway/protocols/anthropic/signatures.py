"""Signatures of thoughts, Anthropic's and others', in the one field that its protocol has.

A client keeps the signature of a thinking block and sends it back. Thoughts of another protocol,
and unsigned ones, are told to the client under a seal (`ccapi.<protocol>.<signature>`), so that
they come back as what they were: fit for the provider that made them, and never sent to Anthropic,
which refuses every signature but its own.
"""

from gateway.protocols.anthropic.wire import NAME

_SEAL = "ccapi."
SEALED = b'"ccapi.'  # how a sealed signature begins in a request's JSON


def seal(signature: str, signed_by: str) -> str:
    """What the client sees: Anthropic's own signature as it is, any other under a seal."""
    if signature and signed_by == NAME:
        return signature
    return f"{_SEAL}{signed_by}.{signature}"


def is_sealed(text: str) -> bool:
    return text.startswith(_SEAL)


def unseal(text: str) -> tuple[str, str]:
    """The signature and the name of the protocol that made it; both empty where there is none."""
    if text.startswith(_SEAL):
        signed_by, _, signature = text[len(_SEAL) :].partition(".")
        return signature, signed_by
    return (text, NAME) if text else ("", "")
