"""Thoughts on OpenAI's wire: `reasoning_content`, and signed ones in `reasoning_details`.

OpenAI's chat endpoint has no place for them; these are the two forms that compatible vendors made
common. A signature of another protocol reaches the client as an entry whose `format` is
`ccapi/<protocol>`; a client that sends the entry back, as it must for a model that thinks between
tool calls, gets it to that protocol again. Entries of other formats (OpenRouter's own) are opaque
and pass on raw.
"""

from collections.abc import Iterable

from gateway.ir.request import Reasoning, RedactedReasoning
from gateway.protocols.openai_chat import wire

FORMAT_PREFIX = "ccapi/"
TEXT = "reasoning.text"
ENCRYPTED = "reasoning.encrypted"


def decode_signed(details: wire.Raw) -> tuple[Reasoning | RedactedReasoning, ...]:
    """The entries that we made; () where there is none, or what came is no such list."""
    try:
        entries = wire.decode_details(details)
    except wire.DecodeError:
        return ()
    signed: list[Reasoning | RedactedReasoning] = []
    for entry in entries:
        form = entry.format or ""
        if not form.startswith(FORMAT_PREFIX):
            continue
        signed_by = form.removeprefix(FORMAT_PREFIX)
        if entry.type == ENCRYPTED and entry.data:
            signed.append(RedactedReasoning(data=entry.data, signed_by=signed_by))
        elif entry.type == TEXT and entry.signature:
            signed.append(
                Reasoning(text=entry.text or "", signature=entry.signature, signed_by=signed_by)
            )
    return tuple(signed)


def without_signed(details: wire.Raw) -> wire.Raw | None:
    """The entries that are not ours, as they came; None where none is left.

    Ours mean nothing to any upstream of this protocol, so none ever gets them.
    """
    marked = wire.decode_details(details)
    kept = [
        raw
        for raw, entry in zip(wire.decode_raws(details), marked, strict=True)
        if not (entry.format or "").startswith(FORMAT_PREFIX)
    ]
    return wire.raw(kept) if kept else None


def text_entry(text: str, signature: str, signed_by: str, index: int) -> wire.Raw:
    return wire.raw(
        {
            "type": TEXT,
            "text": text,
            "signature": signature,
            "format": FORMAT_PREFIX + signed_by,
            "index": index,
        }
    )


def encrypted_entry(data: str, signed_by: str, index: int) -> wire.Raw:
    return wire.raw(
        {"type": ENCRYPTED, "data": data, "format": FORMAT_PREFIX + signed_by, "index": index}
    )


def text_of(details: wire.Raw) -> str:
    """The readable text of the entries, where a vendor sends no plain field beside them."""
    try:
        entries: Iterable[wire.ReasoningDetail] = wire.decode_details(details)
    except wire.DecodeError:
        return ""
    return "".join(entry.text or entry.summary or "" for entry in entries)
