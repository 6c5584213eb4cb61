"""Citations: Anthropic's, of whole text blocks, ↔ ours, of characters of the answer.

Sources of other protocols are told as results of a web search. Anthropic takes such a citation
back only with the `encrypted_index` that it made, so ours has a seal there (see `signatures`), by
which it is known when a client sends it back: it never reaches Anthropic.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec
from msgspec import Raw

from gateway.ir.request import Citation, Part, Text
from gateway.protocols.anthropic import wire
from gateway.protocols.anthropic.signatures import SEALED, is_sealed, seal

_decode = msgspec.json.Decoder(wire.Cited).decode


def decode_citation(raw: Raw, start: int, end: int) -> tuple[Citation, ...]:
    """What a citation of these characters names; () for what does not fit."""
    try:
        told = _decode(raw)
    except msgspec.DecodeError:
        return ()
    source = told.url or told.source or ""
    cited = Citation(
        url=source if source.startswith(("http://", "https://")) else "",
        title=told.title or told.document_title or "",
        quote=told.cited_text or "",
        start=start,
        end=end,
    )
    return (cited,) if cited.url or cited.title or cited.quote else ()


def placed(parts: Sequence[Part]) -> list[Part]:
    """The parts of an answer, their citations told for every protocol."""
    done: list[Part] = []
    length = 0
    for part in parts:
        if isinstance(part, Text):
            start, length = length, length + len(part.text)
            cited = [one for raw in part.citations for one in decode_citation(raw, start, length)]
            if cited:
                part = msgspec.structs.replace(part, cited=tuple(cited))  # noqa: PLW2901
        done.append(part)
    return done


def encode_citation(cited: Citation) -> wire.Json:
    return {
        "type": "web_search_result_location",
        "url": cited.url,
        "title": cited.title or None,
        "cited_text": cited.quote,
        "encrypted_index": seal("", ""),
    }


def text_blocks(part: Text, start: int) -> list[wire.Json]:
    """A text as blocks, cut where what it cites begins and ends.

    `start` is where it begins in the whole answer.
    """
    if part.citations_of == wire.NAME:
        return [{"type": "text", "text": part.text, "citations": part.citations}]
    length = len(part.text)
    cited = [(*_reach(one, start, length), one) for one in part.cited if one.url]
    places = {0, length, *(at for first, last, _ in cited for at in (first, last))}
    blocks: list[wire.Json] = []
    for begin, end in pairwise(sorted(places)):
        sources = [encode_citation(one) for first, last, one in cited if first <= begin < last]
        block: wire.Json = {"type": "text", "text": part.text[begin:end]}
        blocks.append(block | {"citations": sources} if sources else block)
    return blocks or [{"type": "text", "text": part.text}]


def _reach(cited: Citation, start: int, length: int) -> tuple[int, int]:
    """From where to where in a text; all of it, where nobody said."""
    first, last = (min(max(at - start, 0), length) for at in (cited.start, cited.end))
    return (first, last) if first < last else (0, length)


def own(citations: Sequence[Raw]) -> tuple[Raw, ...]:
    """Those that Anthropic made."""
    return tuple(raw for raw in citations if SEALED not in bytes(raw) or not _is_ours(raw))


def _is_ours(raw: Raw) -> bool:
    try:
        return is_sealed(_decode(raw).encrypted_index or "")
    except msgspec.DecodeError:
        return False
