"""The little Markdown of our descriptions as HTML, escaped: paragraphs, lists, `code`."""

import re

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

_CODE = re.compile(r"`([^`]+)`")


def inline(text: str) -> SafeString:
    return mark_safe(_CODE.sub(r"<code>\1</code>", escape(text)))  # noqa: S308 — escaped first


def block(text: str) -> SafeString:
    """Blocks are parted by an empty line; one whose lines begin with `- ` is a list."""
    parts = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
    return mark_safe("".join(_block(part) for part in parts))  # noqa: S308 — escaped by `inline`


def _block(part: str) -> str:
    if part.startswith("- "):
        items = re.split(r"(?:^|\n)- ", part)[1:]
        return "<ul>" + "".join(f"<li>{inline(item)}</li>" for item in items) + "</ul>"
    return f"<p>{inline(part)}</p>"
