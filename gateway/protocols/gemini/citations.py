"""Sources of an answer: Gemini's grounding (and what it recites) ↔ our citations.

Gemini counts bytes of UTF-8, we count characters. Its indices are taken, and told, over the whole
text of an answer, as its documentation's own example reads them; in a whole answer whose text came
in several parts `partIndex` says which one is meant.
Source: https://ai.google.dev/gemini-api/docs/google-search (read 2026-11-22)
"""

import contextlib
from collections.abc import Iterable, Sequence

import msgspec

from gateway.ir.request import Citation, Part, Text
from gateway.protocols.gemini import wire

GROUNDING = "groundingMetadata"
RECITED = "citationMetadata"
CITATIONS = (GROUNDING, RECITED)


def decode_citations(
    grounding: wire.Raw, recited: wire.Raw, text: str, starts: Sequence[int] = ()
) -> tuple[Citation, ...]:
    """What a candidate names, each once; `text` is all of its text so far.

    `starts`: where each part of the content begins in it. Nothing of what does not fit.
    """
    found: list[Citation] = []
    data = text.encode()
    if wire.is_set(grounding):
        # Sources are worth less than the answer that they belong to: it goes on without them.
        with contextlib.suppress(msgspec.DecodeError):
            found += _grounded(wire.decode_sources(grounding), data, starts)
    if wire.is_set(recited):
        told = wire.Recited()
        with contextlib.suppress(msgspec.DecodeError):
            told = wire.decode_recited(recited)
        for source in told.citation_sources or told.citations or ():
            if source.uri:
                start, end = _span(data, source.start_index, source.end_index)
                title = source.title or ""
                found.append(Citation(url=source.uri, title=title, start=start, end=end))
    return tuple(dict.fromkeys(found))


def _grounded(told: wire.Sources, data: bytes, starts: Sequence[int]) -> Iterable[Citation]:
    """A citation for each source of each support; sources without any, for the whole text."""
    chunks = told.grounding_chunks or []
    for support in told.grounding_supports or ():
        segment = support.segment or wire.Segment()
        part = segment.part_index or 0
        base = starts[part] if part < len(starts) else 0
        start, end = _span(data[base:], segment.start_index, segment.end_index)
        base = _characters(data, base)
        for at in support.grounding_chunk_indices or ():
            if 0 <= at < len(chunks) and (cited := _source(chunks[at])) is not None:
                yield msgspec.structs.replace(cited, start=base + start, end=base + end)
    if not told.grounding_supports:
        length = _characters(data, len(data))
        for chunk in chunks:
            if (cited := _source(chunk)) is not None:
                yield msgspec.structs.replace(cited, end=length)


def _source(chunk: wire.Chunk) -> Citation | None:
    told = chunk.web or chunk.retrieved_context
    if told is None or not (told.uri or told.title):
        return None
    url = told.uri or ""
    is_page = url.startswith(("http://", "https://"))
    return Citation(url=url if is_page else "", title=told.title or url, quote=told.text or "")


def _span(data: bytes, start: int | None, end: int | None) -> tuple[int, int]:
    return _characters(data, start or 0), _characters(data, len(data) if end is None else end)


def _characters(data: bytes, count: int) -> int:
    """How many characters begin in so many bytes."""
    return len(data[: max(0, count)].decode(errors="ignore"))


def placed(parts: list[Part], cited: Iterable[Citation]) -> None:
    """Each citation on the text in which it ends, in place."""
    length = 0
    left = list(cited)
    texts = [at for at, part in enumerate(parts) if isinstance(part, Text)]
    for at in texts:
        part = parts[at]
        length += len(part.text) if isinstance(part, Text) else 0
        here = [one for one in left if one.end <= length or at == texts[-1]]
        left = [one for one in left if one not in here]
        if here:
            parts[at] = msgspec.structs.replace(part, cited=tuple(here))


def encode_citations(cited: Sequence[Citation], text: str) -> wire.Json:
    """`groundingMetadata` in a candidate; empty where nothing is cited."""
    chunks: dict[tuple[str, str, str], int] = {}
    spans: dict[tuple[int, int], list[int]] = {}
    for one in cited:
        # A page has no text in this protocol: what it says is left out.
        source = (one.url, one.title, "" if one.url else one.quote)
        at = chunks.setdefault(source, len(chunks))
        if one.start < one.end:
            spans.setdefault((one.start, one.end), []).append(at)
    if not chunks:
        return {}
    told: wire.Json = {"groundingChunks": [_chunk(*source) for source in chunks]}
    if spans:
        told["groundingSupports"] = [_support(text, *span, spans[span]) for span in sorted(spans)]
    return {GROUNDING: told}


def _chunk(url: str, title: str, quote: str) -> wire.Json:
    if url:
        return {"web": {"uri": url, "title": title}}
    return {"retrievedContext": {"title": title, "text": quote}}


def _support(text: str, start: int, end: int, chunks: list[int]) -> wire.Json:
    before, said = text[:start].encode(), text[start:end]
    first = len(before)
    segment = {"startIndex": first, "endIndex": first + len(said.encode()), "text": said}
    return {"segment": segment, "groundingChunkIndices": chunks}
