"""Requests as upstreams get them, from clients of whatever protocol."""

import msgspec
import pytest

from ccapi.core.errors import UnsupportedParameter
from gateway.ir.request import (
    Audio,
    CacheMark,
    File,
    Image,
    Media,
    Message,
    Other,
    OtherTool,
    Part,
    Reasoning,
    ReasoningConfig,
    Request,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.protocols.base import Target
from gateway.protocols.openai_chat import CODEC
from tests.gateway.protocols.openai_chat.openai_wire import Loose, asked, encoded, target


def sent(*messages: Message, **fields: Loose) -> Loose:
    return encoded(Request(model="m", messages=messages, **fields))["messages"]


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def test_a_streaming_request_always_asks_for_usage() -> None:
    request = asked(stream=True, stream_options={"include_obfuscation": False})

    body = encoded(request, target(stream=True))

    assert body["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert "stream_options" not in encoded(request)


@pytest.mark.parametrize(
    ("model", "capabilities", "name"),
    [
        ("gpt-4o-mini", frozenset[str](), "max_tokens"),
        ("o3-mini", frozenset({"reasoning"}), "max_completion_tokens"),
        ("openai/gpt-5-mini", frozenset({"reasoning"}), "max_completion_tokens"),
        ("deepseek-reasoner", frozenset({"reasoning"}), "max_tokens"),
    ],
)
def test_the_limit_goes_under_the_name_that_the_model_takes(
    model: str, capabilities: frozenset[str], name: str
) -> None:
    to = Target(upstream_model=model, stream=False, capabilities=capabilities)

    body = encoded(asked(max_tokens=9), to)

    assert {key: body[key] for key in body if key.startswith("max_")} == {name: 9}


def test_the_wallets_cap_counts_only_where_the_client_named_none() -> None:
    to = target(max_tokens=50)

    assert encoded(asked(), to)["max_tokens"] == 50
    assert encoded(asked(max_tokens=90), to)["max_tokens"] == 90


def test_a_limit_beyond_the_model_is_the_models() -> None:
    assert encoded(asked(max_tokens=64000), target(max_output_tokens=16384))["max_tokens"] == 16384


def test_what_has_no_counterpart_is_named() -> None:
    request = Request(
        model="m",
        messages=(
            user(Text(text="Hi", cache=CacheMark())),
            assistant(
                Reasoning(text="Hm", signature="s", signed_by="anthropic"),
                Other(protocol="anthropic", kind="server_tool_use", raw=msgspec.Raw(b"{}")),
                Text(text="Yes"),
            ),
            user(Text(text="So?")),
        ),
        top_k=40,
        reasoning=ReasoningConfig(budget_tokens=5000),
    )

    dropped = CODEC.encode_request(request, target()).dropped

    assert set(dropped) == {
        "top_k",
        "cache_control",
        "messages.reasoning",
        "messages.server_tool_use",
        "reasoning",
    }
    assert "reasoning_content" not in encoded(request)["messages"][1]


@pytest.mark.parametrize(("budget", "effort"), [(1024, "low"), (4096, "medium"), (32000, "high")])
def test_a_budget_becomes_the_effort_near_it(budget: int, effort: str) -> None:
    request = Request(
        model="m",
        messages=(user(Text(text="Hi")),),
        reasoning=ReasoningConfig(budget_tokens=budget),
    )

    body = encoded(request, target("o3", capabilities=frozenset({"reasoning"})))

    assert body["reasoning_effort"] == effort


@pytest.mark.parametrize(
    "part",
    [
        Other(protocol="anthropic", kind="search_result", raw=msgspec.Raw(b"{}")),
        Image(source=Media(file_id="file_011")),
        File(source=Media(url="https://x/a.pdf")),
        Audio(source=Media(url="https://x/a.mp3")),
    ],
)
def test_what_a_user_shows_is_never_dropped_in_silence(part: Part) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        sent(user(Text(text="See"), part))

    assert refused.value.param == "messages[0].content"


def test_a_tool_that_another_vendor_runs_is_refused() -> None:
    tool = OtherTool(protocol="anthropic", kind="web_search_20250305", raw=msgspec.Raw(b"{}"))

    with pytest.raises(UnsupportedParameter) as refused:
        encoded(Request(model="m", messages=(user(Text(text="Hi")),), tools=(tool,)))

    assert refused.value.param == "tools[0]"


def test_results_within_a_user_message_become_tool_messages_in_front_of_its_text() -> None:
    messages = sent(
        assistant(
            ToolCall(id="a", name="f", arguments="{}"),
            ToolCall(id="b", name="g", arguments="{}", index=1),
        ),
        user(
            Text(text="And now?"),
            ToolResult(call_id="a", name="f", parts=(Text(text="1"),)),
            ToolResult(call_id="b", name="g"),
        ),
    )

    assert messages[1:] == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": "And now?"},
    ]
    assert "content" not in messages[0]


def test_images_of_results_follow_in_one_user_message_behind_all_results() -> None:
    image = Image(source=Media(data="AAAA", media_type="image/png"))

    messages = sent(
        assistant(
            ToolCall(id="a", name="f", arguments="{}"),
            ToolCall(id="b", name="f", arguments="{}", index=1),
        ),
        Message(role="tool", parts=(ToolResult(call_id="a", parts=(Text(text="See"), image)),)),
        Message(role="tool", parts=(ToolResult(call_id="b", parts=(image,)),)),
    )

    assert [message["role"] for message in messages] == ["assistant", "tool", "tool", "user"]
    assert messages[1]["content"] == "See"
    assert [part["type"] for part in messages[3]["content"]] == ["text", "image_url"] * 2
    assert messages[3]["content"][1]["image_url"]["url"] == "data:image/png;base64,AAAA"


def test_a_failed_tool_says_so_in_its_text() -> None:
    def said(text: str) -> Loose:
        result = ToolResult(call_id="a", parts=(Text(text=text),), is_error=True)
        return sent(Message(role="tool", parts=(result,)))[0]["content"]

    assert said("no such file") == "Error: no such file"
    assert said("ERROR 5") == "ERROR 5"


def test_a_document_of_plain_text_becomes_text() -> None:
    messages = sent(user(File(source=Media(), text="Body", filename="Title")))

    assert messages == [{"role": "user", "content": "Title:\n\nBody"}]
