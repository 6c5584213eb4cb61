"""The tags of both dialects, and the escaping inside them."""

import html
import re

TOOL_USE = "<cs:tool_use>"
TOOL_USE_END = "</cs:tool_use>"
TODO = "<cs:todo>"
TODO_END = "</cs:todo>"
FUNCTION_CALLS = "<function_calls>"
FUNCTION_CALLS_END = "</function_calls>"
INVOKE = "<invoke"
INVOKE_END = "</invoke>"
# What a group tells the model of its own; it stays the last of the system prompt.
GUIDELINES_OPEN = "<cs:behavioral-guidelines>"
GUIDELINES_CLOSE = "</cs:behavioral-guidelines>"
CDATA = "<![CDATA["
CDATA_END = "]]>"

# With its semicolon only: `?a=1&copy=2` in a URL is no copyright sign.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def escape(text: str) -> str:
    """What the model is told to escape: `&`, `<` and `>`."""
    return html.escape(text, quote=False)


def unescape(text: str) -> str:
    """Every HTML entity decoded, once; `CDATA` sections taken as they are."""
    if "&" not in text and CDATA not in text:
        return text
    pieces: list[str] = []
    rest = text
    while CDATA in rest:
        before, _, rest = rest.partition(CDATA)
        literal, _, rest = rest.partition(CDATA_END)
        # The blanks around a section are layout, where the section is all there is.
        pieces += [_decoded(before) if before.strip() else "", literal]
    pieces.append(_decoded(rest) if rest.strip() or not pieces else "")
    return "".join(pieces)


def _decoded(text: str) -> str:
    return _ENTITY.sub(lambda entity: html.unescape(entity.group()), text)
