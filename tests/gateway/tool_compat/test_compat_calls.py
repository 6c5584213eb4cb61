import pytest

from gateway.tool_compat.calls import read_call


def given(text: str, attributes: str = "") -> dict[str, str]:
    call = read_call(text, attributes)
    assert call is not None
    return {name: value for name, _type, value in call.given}


@pytest.mark.parametrize(
    "argument",
    [
        '<arg name="path" type="string">/a</arg>',
        "<arg name='path' type='string'>/a</arg>",
        "<arg name=path type=string>/a</arg>",
        '<arg name = "path"  type = "string" >/a</arg>',
        '<arg name="path" value="/a"/>',
        "<arg name='path' value='/a' />",
        '<arg name="path" value="/a">ignored</arg>',
        '<path type="string">/a</path>',
        '<path value="/a"/>',
        '<param name="path">/a</param>',
        '<parameter name="path">/a</parameter>',
        '<arg name="path">/a</arg></arg>',
        '<arg name="path"><![CDATA[/a]]></arg>',
        '<arg name="path">\n<![CDATA[/a]]>\n</arg>',
    ],
)
def test_an_argument_is_read_however_it_is_quoted(argument: str) -> None:
    assert given(f"<name>Read</name><args>{argument}</args>") == {"path": "/a"}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("a < b && c > d", "a < b && c > d"),
        ("Result<String, Vec<u8>>", "Result<String, Vec<u8>>"),
        ("&lt;arg name=&quot;x&quot;&gt;1&lt;/arg&gt;", '<arg name="x">1</arg>'),
        ("<html><body><p>hi</p></body></html>", "<html><body><p>hi</p></body></html>"),
        ("&yen;&nbsp;&#228;&#x4E2D;", "\u00a5\u00a0\u00e4\u4e2d"),
        ("https://x/?a=1&copy=2", "https://x/?a=1&copy=2"),
        ("&amp;lt;", "&lt;"),
        ("it's\n\tok\n", "it's\n\tok\n"),
        ("中文", "中文"),
        ("<![CDATA[</arg></args>&amp;]]>", "</arg></args>&amp;"),
        ("", ""),
    ],
)
def test_a_value_arrives_as_it_was_meant(written: str, value: str) -> None:
    text = f'<name>Write</name>\n<args>\n<arg name="content">{written}</arg>\n</args>'

    assert given(text) == {"content": value}


def test_names_keep_their_case_and_void_elements_are_arguments() -> None:
    text = "<name>X</name><args><oldString>a</oldString><input>b</input><link>c</link></args>"

    assert given(text) == {"oldString": "a", "input": "b", "link": "c"}


def test_a_missing_end_of_the_arguments_is_no_loss() -> None:
    assert given('<name>X</name><args><arg name="a">1</arg><arg name="b">2</arg>') == {
        "a": "1",
        "b": "2",
    }


def test_missing_args_tags_are_no_loss_and_the_id_is_no_argument() -> None:
    assert given('<id>tool_9</id><name>X</name><arg name="a">1</arg>') == {"a": "1"}


def test_an_argument_that_is_never_closed_ends_where_the_next_begins() -> None:
    text = '<name>X</name><args><arg name="a">1\n<arg name="b">2</args>'

    assert given(text) == {"a": "1", "b": "2"}


def test_a_value_that_quotes_the_end_of_the_arguments_is_whole() -> None:
    text = '<name>X</name><args><arg name="a">say </args> twice</arg></args>'

    assert given(text) == {"a": "say </args> twice"}


def test_a_call_without_arguments_is_a_call() -> None:
    assert given("<name>Now</name><args></args>") == {}
    assert given("<name>Now</name>") == {}


def test_the_invoke_dialect_takes_its_name_from_a_tag_or_an_attribute() -> None:
    by_tag = "<tool_name>Read</tool_name><parameters><path>/a</path></parameters>"

    assert given(by_tag) == {"path": "/a"}
    assert read_call('<parameter name="path">/a</parameter>', ' name="Read"') == (
        "Read",
        [("path", "", "/a")],
    )


@pytest.mark.parametrize(
    "text", ["<args></args>", "just text", "<name></name>", "<name>two words</name>"]
)
def test_what_has_no_name_is_no_call(text: str) -> None:
    assert read_call(text) is None
