"""Signatures of thoughts: Gemini's, and those of other protocols in Gemini's one field for them.

`thoughtSignature` is a proto's bytes, so it must be base64 and clients may write it anew in the
other alphabet. A signature of another protocol reaches a client of this one as the base64 of
`ccapi.<protocol>.<signature>`; a client sends its parts back as they came, and the signature finds
its way to the provider that made it. Gemini itself never gets one.
"""

import base64
import binascii

from gateway.protocols.gemini.wire import NAME

_SEAL = "ccapi."
SEALED = base64.b64encode(_SEAL.encode()).decode()  # six bytes: eight whole characters
# What Gemini takes for a call that it did not make itself. Source:
# https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
SKIP = "skip_thought_signature_validator"

_STANDARD = str.maketrans("-_", "+/")


def seal(signature: str, signed_by: str) -> str:
    """What a client sees: Gemini's own signature as it is, any other under a seal."""
    if not signature or signed_by == NAME:
        return signature
    return base64.b64encode(f"{_SEAL}{signed_by}.{signature}".encode()).decode()


def unseal(text: str) -> tuple[str, str]:
    """The signature and the protocol that made it; both empty where there is none."""
    if not text or text == SKIP:
        return "", ""
    if text.startswith(SEALED):
        try:
            sealed = base64.b64decode(standard(text), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return text, NAME  # not of our making after all
        signed_by, _, signature = sealed[len(_SEAL) :].partition(".")
        return signature, signed_by
    return text, NAME


def standard(data: str) -> str:
    """Base64 in the standard alphabet, with its padding.

    Google's SDK for Python writes bytes in the alphabet for URLs, which other vendors refuse.
    """
    if "-" in data or "_" in data:
        data = data.translate(_STANDARD)
    missing = -len(data) % 4
    return data + "=" * missing if missing else data
