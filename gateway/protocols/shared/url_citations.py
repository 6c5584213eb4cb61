"""Citations of web pages as OpenAI's protocols write them: `url_citation` annotations.

Their indices count characters of the text that they stand in.
"""

import msgspec

from gateway.ir.request import Citation
from gateway.protocols.shared import raws

KIND = "url_citation"


class _Annotation(msgspec.Struct):
    """Chat nests the fields under the type's name, Responses does not."""

    type: str = ""
    url: str | None = None
    title: str | None = None
    content: str | None = None  # OpenRouter's: what the page says
    start_index: int | None = None
    end_index: int | None = None
    url_citation: "_Annotation | None" = None


_decode = msgspec.json.Decoder(_Annotation).decode


def read(note: raws.Raw, text_start: int = 0) -> tuple[Citation, ...]:
    """What an annotation cites; `text_start` is where its text begins in the whole answer.

    None for those of other kinds (files), and for what does not fit.
    """
    try:
        told = _decode(note)
    except msgspec.DecodeError:
        return ()
    if told.type != KIND:
        return ()
    told = told.url_citation or told
    if not told.url:
        return ()
    cited = Citation(
        url=told.url,
        title=told.title or "",
        quote=told.content or "",
        start=text_start + max(0, told.start_index or 0),
        end=text_start + max(0, told.end_index or 0),
    )
    return (cited,)


def written(citation: Citation, text_start: int = 0) -> dict[str, object]:
    """The fields of an annotation, its type not among them."""
    return {
        "start_index": max(0, citation.start - text_start),
        "end_index": max(0, citation.end - text_start),
        "title": citation.title,
        "url": citation.url,
    }
