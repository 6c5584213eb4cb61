"""The text of an answer, cut anywhere → pieces of text and calls, in order.

Text goes on at once but for the longest end that could be the beginning of a tag. From an opening
tag on, what comes is kept until its call is complete; what then turns out to be no call is text
again, to the letter. Source of the tags: `tags`.
"""

import re
from typing import Final, NamedTuple

from gateway.tool_compat import tags
from gateway.tool_compat.calls import Call, read_call

# A call longer than this is handed on as text, in characters.
CALL_LENGTH_MAX = 4 * 1024 * 1024

_OPENERS: Final = (tags.TOOL_USE, tags.TODO, tags.FUNCTION_CALLS, tags.TOOL_USE_END)
_ARGS = re.compile(r"<args\s*>", re.I)
_ARGS_END = re.compile(r"</args\s*>", re.I)
_INVOKE = re.compile(r"<invoke((?:\s+[^<>]*)?)>")


class Written(NamedTuple):
    """A complete call; `raw` is all that stood for it, for whoever finds that it is none."""

    call: Call
    raw: str


Piece = str | Written


class Scanner:
    """Feed it text, take pieces; `finish` gives the rest. One per choice of an answer."""

    def __init__(self) -> None:
        self._rest = ""
        self._gap = ""  # blanks behind a call, which are layout if another call follows
        self._after_call = False
        self._in_invokes = False  # inside <function_calls>
        self._awaits_end = False  # of a block, so that nothing without a `>` matters

    def feed(self, text: str) -> list[Piece]:
        self._rest += text
        pieces: list[Piece] = []
        if self._awaits_end and ">" not in text and len(self._rest) <= CALL_LENGTH_MAX:
            return pieces
        self._awaits_end = False
        while self._step(pieces):
            pass
        return pieces

    def finish(self, *, cut_short: bool = False) -> list[Piece]:
        """What is left. A call without its end tag counts, unless the answer was `cut_short`."""
        pieces: list[Piece] = []
        rest, self._rest = self._rest, ""
        if rest.startswith((tags.TOOL_USE, tags.INVOKE)) and not cut_short:
            written = _unclosed(rest)
            if written is not None:
                self._called(pieces, written)
                return pieces
        if self._in_invokes and not rest.strip():
            return pieces
        self._say(pieces, rest)
        return pieces

    def _step(self, pieces: list[Piece]) -> bool:
        """Take one piece off `_rest`; False where more text is needed."""
        if not self._rest:
            return False
        if self._in_invokes:
            return self._invokes(pieces)
        if self._rest.startswith(tags.TOOL_USE):
            return self._tool_use(pieces)
        if self._rest.startswith(tags.TOOL_USE_END):
            # A stray one, which a model writes twice.
            self._rest = self._rest[len(tags.TOOL_USE_END) :]
            return True
        if self._rest.startswith(tags.TODO):
            return self._todo(pieces)
        if self._rest.startswith(tags.FUNCTION_CALLS):
            return self._function_calls(pieces)
        return self._text(pieces)

    def _await_end(self) -> bool:
        self._awaits_end = True
        return False

    def _text(self, pieces: list[Piece]) -> bool:
        """Text up to the next tag, or to what may become one."""
        rest = self._rest
        found = [at for at in (rest.find(tag) for tag in _OPENERS) if at >= 0]
        end = min(found) if found else len(rest) - _held_back(rest)
        if end == 0:
            return False
        self._say(pieces, rest[:end])
        self._rest = rest[end:]
        return bool(found)

    def _say(self, pieces: list[Piece], text: str) -> None:
        if self._after_call and not text.strip():
            self._gap += text
            return
        if text:
            pieces.append(self._gap + text)
            self._gap, self._after_call = "", False

    def _called(self, pieces: list[Piece], written: Written) -> None:
        pieces.append(written)
        self._gap, self._after_call = "", True

    def _give_up(self, pieces: list[Piece], length: int) -> bool:
        """The tag at the beginning opens nothing: it is text."""
        self._say(pieces, self._rest[:length])
        self._rest = self._rest[length:]
        return True

    def _opens_tags(self, inside: str) -> bool | None:
        """Whether a tag follows, as in every call; None where that is not known yet."""
        bare = inside.lstrip()
        return None if not bare else bare.startswith("<")

    def _tool_use(self, pieces: list[Piece]) -> bool:
        rest = self._rest
        if self._opens_tags(rest[len(tags.TOOL_USE) :]) is False:
            return self._give_up(pieces, len(tags.TOOL_USE))
        end = _end_of_tool_use(rest)
        if end is None:
            if len(rest) > CALL_LENGTH_MAX:
                return self._give_up(pieces, len(rest))
            return self._await_end()
        block = rest[: end + len(tags.TOOL_USE_END)]
        self._rest = rest[len(block) :]
        call = read_call(rest[len(tags.TOOL_USE) : end])
        if call is None:
            self._say(pieces, block)
        else:
            self._called(pieces, Written(call, block))
        return True

    def _todo(self, pieces: list[Piece]) -> bool:
        """The model's notes to itself: nobody else's business."""
        end = self._rest.find(tags.TODO_END)
        if end < 0:
            if len(self._rest) > CALL_LENGTH_MAX:
                return self._give_up(pieces, len(self._rest))
            return self._await_end()
        self._rest = self._rest[end + len(tags.TODO_END) :]
        return True

    def _function_calls(self, pieces: list[Piece]) -> bool:
        inside = self._rest[len(tags.FUNCTION_CALLS) :].lstrip()
        if inside.startswith(tags.INVOKE):
            self._in_invokes = True
            self._rest = inside
            return True
        if tags.INVOKE.startswith(inside):
            return False
        return self._give_up(pieces, len(tags.FUNCTION_CALLS))

    def _invokes(self, pieces: list[Piece]) -> bool:
        self._rest = rest = self._rest.lstrip()
        if rest.startswith(tags.FUNCTION_CALLS_END):
            self._rest = rest[len(tags.FUNCTION_CALLS_END) :]
            self._in_invokes = False
            return True
        if rest.startswith(tags.INVOKE):
            return self._invoke(pieces)
        if tags.FUNCTION_CALLS_END.startswith(rest) or tags.INVOKE.startswith(rest):
            return False
        # Something else: the block is over, with or without its end tag.
        self._in_invokes = False
        return True

    def _invoke(self, pieces: list[Piece]) -> bool:
        rest = self._rest
        end = _end_outside_cdata(rest, tags.INVOKE_END, 0)
        if end is None:
            if len(rest) > CALL_LENGTH_MAX:
                self._in_invokes = False
                return self._give_up(pieces, len(rest))
            return self._await_end()
        block = rest[: end + len(tags.INVOKE_END)]
        self._rest = rest[len(block) :]
        opening = _INVOKE.match(block)
        call = opening and read_call(rest[opening.end() : end], opening.group(1))
        if call is None:
            self._say(pieces, block)
        else:
            self._called(pieces, Written(call, block))
        return True


def _held_back(text: str) -> int:
    """Length of the longest end of the text with which a tag may begin."""
    at = text.rfind("<")
    tail = text[at:] if at >= 0 else ""
    return len(tail) if tail and any(tag.startswith(tail) for tag in _OPENERS) else 0


def _end_of_tool_use(block: str) -> int | None:
    """Where the end tag of the call stands.

    One inside an argument is text: while the arguments are open, the call goes on.
    """
    end = _end_outside_cdata(block, tags.TOOL_USE_END, 0)
    while end is not None:
        head = block[:end]
        if not _ARGS.search(head) or _ARGS_END.search(head):
            return end
        end = _end_outside_cdata(block, tags.TOOL_USE_END, end + 1)
    return None


def _end_outside_cdata(block: str, tag: str, start: int) -> int | None:
    end = block.find(tag, start)
    while end >= 0:
        opened = block.rfind(tags.CDATA, 0, end)
        if opened < 0 or block.find(tags.CDATA_END, opened, end) >= 0:
            return end
        end = block.find(tag, end + 1)
    return None


def _unclosed(rest: str) -> Written | None:
    """A call whose end tag never came, or only in part: complete where its arguments are."""
    if rest.startswith(tags.TOOL_USE):
        end_tag, inside = tags.TOOL_USE_END, rest[len(tags.TOOL_USE) :]
        attributes = ""
    else:
        opening = _INVOKE.match(rest)
        if opening is None:
            return None
        end_tag, inside = tags.INVOKE_END, rest[opening.end() :]
        attributes = opening.group(1)
    for length in range(len(end_tag) - 1, 1, -1):
        if inside.endswith(end_tag[:length]):
            inside = inside[:-length]
            break
    call = read_call(inside, attributes)
    return None if call is None else Written(call, rest)
