"""Signatures of thoughts: `encrypted_content` of reasoning items, this protocol's and others'.

The encrypted content belongs to its item's id (the API refuses it under another one), so our
signature of this protocol is `<id>.<encrypted content>`, with `text:` in front where the thoughts
themselves came as `content` instead of a summary (gpt-oss, DeepSeek).

A client is told the signature of another protocol, and that there is none, under a seal
(`ccapi.<protocol>.<signature>`; thoughts that were redacted as `ccapi.redacted/<protocol>.<data>`)
in the one field that it sends back. No upstream of this protocol ever gets a seal.
"""

from typing import NamedTuple

from gateway.ir.request import Reasoning, RedactedReasoning
from gateway.protocols.openai_responses.wire import NAME

_SEAL = "ccapi."
_REDACTED = "redacted/"
_TEXT = "text:"
SEALED = b'"ccapi.'  # how a seal begins in a request's JSON


class Own(NamedTuple):
    """A signature of this protocol, taken apart."""

    id: str
    encrypted: str
    is_text: bool  # the thoughts stand in `content`

    def joined(self) -> str:
        return f"{_TEXT if self.is_text else ''}{self.id}.{self.encrypted}"


def own(signature: str) -> Own:
    head, _, encrypted = signature.partition(".")
    return Own(head.removeprefix(_TEXT), encrypted, head.startswith(_TEXT))


def seal(signature: str, signed_by: str) -> str:
    return f"{_SEAL}{signed_by}.{signature}"


def seal_redacted(data: str, signed_by: str) -> str:
    return f"{_SEAL}{_REDACTED}{signed_by}.{data}"


def is_sealed(encrypted: str) -> bool:
    return encrypted.startswith(_SEAL)


def unseal(encrypted: str, text: str) -> Reasoning | RedactedReasoning:
    """What a client sent back under a seal."""
    signed_by, _, signature = encrypted.removeprefix(_SEAL).partition(".")
    if signed_by.startswith(_REDACTED):
        return RedactedReasoning(data=signature, signed_by=signed_by.removeprefix(_REDACTED))
    return Reasoning(text=text, signature=signature, signed_by=signed_by)


def thoughts(
    *, item_id: str, encrypted: str, summary: str, content: str
) -> Reasoning | RedactedReasoning:
    """A reasoning item, of an upstream or sent back by a client."""
    text = summary or content
    if is_sealed(encrypted):
        return unseal(encrypted, text)
    if not item_id and not encrypted:
        return Reasoning(text=text)
    signature = Own(item_id, encrypted, is_text=bool(content) and not summary).joined()
    return Reasoning(text=text, signature=signature, signed_by=NAME)
