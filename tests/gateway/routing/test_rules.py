"""What a group does to a request, before any protocol sees it."""

import json
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from accounts.types import Caller
from catalog.types import Alias, Group, PriceVersion, Rate, Replace
from ccapi.core.errors import RequestTooLarge
from gateway.ir.request import (
    CacheMark,
    Message,
    OtherTool,
    Raw,
    Request,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
)
from gateway.protocols.base import Target
from gateway.protocols.registry import CODECS
from gateway.routing.plan import candidates_for
from gateway.routing.rules import is_compat, ruled
from gateway.tool_compat.prompt import told_in_text
from tests.gateway.routing.test_groups import model, snapshot

TOLD = "<cs:behavioral-guidelines>Be brief.</cs:behavioral-guidelines>"
READ, WRITE = Tool(name="Read"), Tool(name="Write")
ENHANCE: dict[str, Any] = {"prompt_injection": "enhance", "prompt_text": "Be brief."}


def group(**fields: object) -> Group:
    return msgspec.structs.replace(Group(id=1, name="g"), **fields)


def said(role: Any, *texts: str) -> Message:  # noqa: ANN401 — a literal
    return Message(role=role, parts=tuple(Text(text=text) for text in texts))


def request(*messages: Message, **fields: object) -> Request:
    usual = Request(model="x", messages=messages or (said("user", "Hi."),), tools=(READ, WRITE))
    return msgspec.structs.replace(usual, **fields)


def texts(message: Message) -> list[str]:
    return [part.text for part in message.parts if isinstance(part, Text)]


def changed(asked: Request, alias: str = "x", **fields: object) -> Request:
    found = ruled(asked, group(**fields), alias)
    assert found is not None
    return found


def test_a_group_without_rules_changes_nothing() -> None:
    assert ruled(request(temperature=0.5), group(), "x") is None


def test_enhance_goes_behind_the_clients_own_prompt_and_keeps_its_marks() -> None:
    marked = Text(text="You are B.", cache=CacheMark(ttl="1h"))
    system = Message(role="system", parts=(Text(text="You are A."), marked))

    found = changed(request(system, said("user", "Hi.")), **ENHANCE)

    assert found.messages[0].parts == (*system.parts, Text(text="\n\n" + TOLD))
    assert found.messages[1:] == (said("user", "Hi."),)


def test_enhance_without_a_prompt_makes_one() -> None:
    assert changed(request(), **ENHANCE).messages[0] == said("system", TOLD)


def test_replace_takes_the_clients_prompt_out() -> None:
    asked = request(said("system", "A"), said("developer", "B"), said("user", "Hi."))

    found = changed(asked, prompt_injection="replace", prompt_text="Be brief.")

    assert found.messages == (said("system", TOLD), said("user", "Hi."))


@pytest.mark.parametrize("mode", ["enhance", "replace"])
def test_at_the_user_it_is_the_start_of_the_last_message_and_the_prompt_stays(mode: str) -> None:
    asked = request(
        said("system", "A"), said("user", "One."), said("assistant", "Yes."), said("user", "Two.")
    )

    found = changed(asked, prompt_injection=mode, prompt_text="Be brief.", prompt_position="user")

    assert found.messages[:3] == asked.messages[:3]
    assert texts(found.messages[3]) == [TOLD + "\n\n", "Two."]


def test_at_the_user_tool_results_stay_first_and_alone() -> None:
    result = ToolResult(call_id="1", parts=(Text(text="done"),))
    both = Message(role="user", parts=(result, Text(text="Go on.")))
    asked = request(both, said("assistant", "Yes."), Message(role="user", parts=(result,)))

    found = changed(asked, **ENHANCE, prompt_position="user")

    assert found.messages[0].parts == (result, Text(text=TOLD + "\n\n"), Text(text="Go on."))
    assert found.messages[1:] == asked.messages[1:]


def test_at_the_user_without_one_it_is_the_system_prompt() -> None:
    asked = request(said("assistant", "Yes."))

    assert changed(asked, **ENHANCE, prompt_position="user").messages[0] == said("system", TOLD)


def test_requests_without_tools_are_left_alone_unless_it_is_always() -> None:
    plain = request(tools=())

    assert ruled(plain, group(**ENHANCE), "x") is None
    assert changed(plain, **ENHANCE, inject="always").messages[0] == said("system", TOLD)


def test_only_aliases_of_its_patterns_are_told() -> None:
    rules = {**ENHANCE, "inject_for": ("claude-*", "gpt-?")}

    assert changed(request(), "claude-x", **rules).messages[0] == said("system", TOLD)
    assert ruled(request(), group(**rules), "gemini") is None


def test_replacements_are_literal_in_the_clients_system_prompt_alone() -> None:
    marked = Text(text="I am (C). (C)!", cache=CacheMark())
    asked = request(Message(role="system", parts=(marked,)), said("user", "(C)"))
    pairs = (Replace(key="(C)", value="D"), Replace(key="D!", value="E"))

    found = changed(asked, prompt_replace=pairs)

    assert found.messages[0].parts == (Text(text="I am D. E", cache=CacheMark()),)
    assert found.messages[1] == asked.messages[1]
    assert ruled(asked, group(prompt_replace=(Replace(key="nowhere", value=""),)), "x") is None


def test_guidelines_are_not_replaced_in() -> None:
    pairs = (Replace(key="brief", value="long"),)

    found = changed(request(said("system", "brief")), **ENHANCE, prompt_replace=pairs)

    assert texts(found.messages[0]) == ["long", "\n\n" + TOLD]


def test_replacements_that_explode_are_refused_before_they_do() -> None:
    pairs = (Replace(key="a", value="a" * 1000),) * 3

    with pytest.raises(RequestTooLarge):
        ruled(request(said("system", "a" * 100)), group(prompt_replace=pairs), "x")


def test_filtered_tools_are_gone_with_the_choice_of_them() -> None:
    asked = request(tool_choice=ToolChoice(mode="tool", name="Write"))

    found = changed(asked, tool_filter=frozenset({"Write"}))

    assert found.tools == (READ,)
    assert found.tool_choice is None


def test_without_any_tool_left_nothing_is_said_of_tools() -> None:
    search = OtherTool(
        protocol="anthropic",
        kind="web_search_20250305",
        raw=Raw(b'{"type":"web_search_20250305","name":"web_search"}'),
    )
    asked = request(
        tools=(READ, search),
        tool_choice=ToolChoice(mode="required"),
        parallel_tool_calls=False,
        extras={"openai": {"tool_choice": Raw(b"{}"), "seed": Raw(b"1")}},
    )

    found = changed(asked, tool_filter=frozenset({"Read", "web_search"}))

    assert (found.tools, found.tool_choice, found.parallel_tool_calls) == ((), None, None)
    assert found.extras == {"openai": {"seed": Raw(b"1")}}


def test_tools_that_are_filtered_still_count_for_the_prompt() -> None:
    found = changed(request(tools=(READ,)), **ENHANCE, tool_filter=frozenset({"Read"}))

    assert found.messages[0] == said("system", TOLD)
    assert found.tools == ()


@pytest.mark.parametrize(("sent", "ratio", "told"), [(0.5, 0.5, 0.25), (1.5, 2, 2.0), (0.3, 0, 0)])
def test_a_temperature_of_the_clients_is_multiplied(sent: float, ratio: float, told: float) -> None:
    assert changed(request(temperature=sent), temperature_ratio=ratio).temperature == told
    assert ruled(request(), group(temperature_ratio=ratio), "x") is None


@pytest.mark.parametrize(
    ("word", "path", "told"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("compat", False, True),
        ("native", True, False),
    ],
)
def test_the_groups_word_on_compat_is_above_the_paths(word: str, path: bool, told: bool) -> None:
    assert is_compat(group(tool_compat=word), path=path) is told
    assert is_compat(None, path=path) is path


@pytest.mark.parametrize("system", [(), (said("system", "You are A."),)])
def test_under_compat_the_guide_stands_between_prompt_and_guidelines(
    system: tuple[Message, ...],
) -> None:
    asked = changed(request(*system, said("user", "Hi.")), **ENHANCE)

    told = "".join(texts(told_in_text(asked, "cs").messages[0]))

    assert told.startswith("You are A.\n\n<cs:tool" if system else "<cs:tool")
    assert told.endswith("\n\n" + TOLD)
    assert "\n\n\n" not in told[-len(TOLD) - 4 :]


@pytest.mark.parametrize("protocol", sorted(CODECS))
def test_every_protocol_says_what_the_rules_have_made(protocol: str) -> None:
    asked = changed(
        request(said("system", "You are A."), said("user", "Hi."), temperature=0.5, max_tokens=9),
        **ENHANCE,
        tool_filter=frozenset({"Write"}),
        temperature_ratio=0.5,
    )

    target = Target(upstream_model="up", stream=False, max_output_tokens=100)
    encoded = CODECS[protocol].encode_request(asked, target)

    body = encoded.body.decode()
    assert json.dumps("Be brief.")[1:-1] in body
    assert body.index("You are A.") < body.index("behavioral-guidelines")
    assert "Write" not in body
    assert "Read" in body
    assert "0.25" in body


def test_a_warmed_temperature_is_within_the_narrowest_protocols_range() -> None:
    asked = changed(request(temperature=1.0, max_tokens=9), temperature_ratio=1.5)

    encoded = CODECS["anthropic"].encode_request(asked, Target(upstream_model="up", stream=False))

    assert json.loads(encoded.body)["temperature"] == 1.0


def test_the_bound_of_a_candidate_covers_what_the_rules_add() -> None:
    price = PriceVersion(id=7, model="a/one", rates=MappingProxyType({"input": Rate(1)}))
    long = {"prompt_injection": "enhance", "prompt_text": "é" * 500, "inject": "always"}
    grouped = group(organization_id=1, aliases=(Alias(pattern="x", targets=("a/one",)),), **long)
    catalog = msgspec.structs.replace(
        snapshot(grouped),
        models=MappingProxyType({"a/one": model("a/one", price=price, context_length=10**6)}),
    )
    caller = Caller(organization_id=1, organization="org_1", key_id=1, key="key_1")

    (plain,) = candidates_for(catalog, caller, request(model="a/one"), body_bytes=50, seed=1)
    (through,) = candidates_for(catalog, caller, request(), body_bytes=50, seed=1, group="g")

    assert plain.ruled is None
    assert through.ruled is not None
    assert through.bound.input_tokens >= plain.bound.input_tokens + 1000 + len(TOLD) - 9
