import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tool_compat.calls import Call
from gateway.tool_compat.scanner import Piece, Scanner, Written

CALL = '<cs:tool_use>\n<name>Read</name>\n<args><arg name="path">/a</arg></args>\n</cs:tool_use>'
READ = Call("Read", [("path", "", "/a")])
INVOKE = "<invoke><tool_name>Read</tool_name><parameters><path>/a</path></parameters></invoke>"


def scan(*texts: str, cut_short: bool = False) -> list[object]:
    """Pieces with neighbouring texts joined, calls without what stood for them."""
    scanner = Scanner()
    pieces: list[Piece] = [piece for text in texts for piece in scanner.feed(text)]
    pieces += scanner.finish(cut_short=cut_short)
    joined: list[object] = []
    for piece in pieces:
        if isinstance(piece, Written):
            joined.append(piece.call)
        elif joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


EXAMPLES = {
    "text alone": ("Hello, a < b and </b> & <cs:x>!", ["Hello, a < b and </b> & <cs:x>!"]),
    "a call": (CALL, [READ]),
    "text and a call": (f"Let me see.\n{CALL}\n", ["Let me see.\n", READ]),
    "two calls": (f"{CALL}\n\n{CALL}", [READ, READ]),
    "text between calls": (f"{CALL}\nand\n{CALL}", [READ, "\nand\n", READ]),
    "text after a call": (f"{CALL}\nDone.", [READ, "\nDone."]),
    "a todo": (f"<cs:todo>think {CALL}</cs:todo>Hi", ["Hi"]),
    "a todo and a call": (f"a<cs:todo>x</cs:todo>b{CALL}", ["ab", READ]),
    "a stray end tag": (f"{CALL}</cs:tool_use>ok", [READ, "ok"]),
    "invokes": (
        f"Go.<function_calls>\n{INVOKE}\n{INVOKE}\n</function_calls>end",
        ["Go.", READ, READ, "end"],
    ),
    "an invoke by attribute": (
        '<function_calls><invoke name="Read"><parameter name="path">/a</parameter></invoke>'
        "</function_calls>",
        [READ],
    ),
    "talk about the tag": ("Write `<cs:tool_use>` first.", ["Write `<cs:tool_use>` first."]),
    "talk about the other": ("the <function_calls> tag", ["the <function_calls> tag"]),
    "no name": (
        "<cs:tool_use><args></args></cs:tool_use>!",
        ["<cs:tool_use><args></args></cs:tool_use>!"],
    ),
    "an end tag in an argument": (
        "<cs:tool_use><name>W</name><args><arg name='c'>x</cs:tool_use>y</arg></args>"
        "</cs:tool_use>",
        [Call("W", [("c", "", "x</cs:tool_use>y")])],
    ),
    "an end tag in CDATA": (
        "<cs:tool_use><name>W</name><args><arg name='c'><![CDATA[</args></cs:tool_use>]]></arg>"
        "</args></cs:tool_use>",
        [Call("W", [("c", "", "</args></cs:tool_use>")])],
    ),
    "no end tag": (CALL.removesuffix("</cs:tool_use>"), [READ]),
    "half an end tag": (CALL.removesuffix("ol_use>"), [READ]),
    "an unfinished todo": ("a<cs:todo>never ended", ["a<cs:todo>never ended"]),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_answer_cut_at_any_byte_reads_the_same(name: str) -> None:
    text, pieces = EXAMPLES[name]

    assert scan(text) == pieces
    assert scan(*text) == pieces
    for cut in range(len(text)):
        assert scan(text[:cut], text[cut:]) == pieces


def test_a_call_that_was_cut_short_is_text() -> None:
    begun = CALL[: CALL.index("/a") + 1]

    assert scan(begun, cut_short=True) == [begun]


def test_text_is_never_held_back_longer_than_a_tag_needs() -> None:
    scanner = Scanner()

    assert scanner.feed("Hello ") == ["Hello "]
    assert scanner.feed("a <") == ["a "]
    assert scanner.feed("b> <cs") == ["<b> "]
    assert scanner.feed(":to") == []
    assert scanner.feed("ken") == ["<cs:token"]


@given(st.lists(st.sampled_from(["<", ">", "/", "cs:", "tool_use", "todo", "a", " ", "é", "&"])))
def test_text_without_a_tag_comes_out_as_it_went_in(parts: list[str]) -> None:
    text = "".join(parts)
    for tag in ("<cs:tool_use>", "</cs:tool_use>", "<cs:todo>"):
        text = text.replace(tag, "")
    if any(tag in text for tag in ("<cs:tool_use>", "</cs:tool_use>", "<cs:todo>")):
        return

    assert "".join(str(piece) for piece in scan(*parts_of(text))) == text


def parts_of(text: str) -> list[str]:
    return [text[at : at + 3] for at in range(0, len(text), 3)]
