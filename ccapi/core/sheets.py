"""CSV for spreadsheets: rows as bytes, without formulas, and the renderer that lets a client ask.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, and customers' texts
(a model's name, the `user` of a request) end up in such cells. Those get a `'` before them. What a
sheet holds is decided by whoever makes it.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

Cell = str | int | float | bool | None


class CSVRenderer(BaseRenderer):
    """Lets `Accept: text/csv` (or `?format=csv`) be asked for; views answer with a `sheet`."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Any,  # noqa: ANN401 — REST framework's signature
        _accepted_media_type: str | None = None,
        _renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        raise NotImplementedError("A view that offers CSV writes it, and renders errors as JSON.")


def wanted(request: Request) -> bool:
    """Whether the client asked for CSV."""
    return isinstance(request.accepted_renderer, CSVRenderer)


def lines(rows: Iterable[Iterable[Cell]]) -> bytes:
    """The rows as CSV (RFC 4180, UTF-8)."""
    text = io.StringIO()
    csv.writer(text).writerows([[_safe(cell) for cell in row] for row in rows])
    return text.getvalue().encode()


def _safe(cell: Cell) -> Cell:
    match cell:
        case bool():
            return "true" if cell else "false"
        case str() if cell.lstrip(" ").startswith(FORMULA):
            return "'" + cell
    return cell


def sheet(name: str, content: bytes | AsyncIterator[bytes]) -> HttpResponse | StreamingHttpResponse:
    """The answer that a browser saves as `name`.csv."""
    kind = HttpResponse if isinstance(content, bytes) else StreamingHttpResponse
    return kind(
        content,
        content_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}.csv"'},
    )
