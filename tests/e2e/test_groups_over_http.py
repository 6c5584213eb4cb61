"""Groups through the running product: two processes, real SDKs, a fake upstream."""

import json
import time
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic
from openai import OpenAI

from gateway.sandbox.dialect import Dialect
from tests.e2e.stack import Account, Stack
from tests.fakes import transcripts
from tests.fakes.steps import reply, stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI
from tests.fakes.upstream import Upstream

WITHIN_S = 1.0  # how soon a change acts in every process
TOOL: dict[str, Any] = {"type": "object", "properties": {"path": {"type": "string"}}}
CALL = '<cs:tool_use><name>read</name><args><arg name="path">a</arg></args></cs:tool_use>'
CLAUDE_TOOL: Any = {"name": "read", "description": "Reads.", "input_schema": TOOL}
OPENAI_TOOL: Any = {"type": "function", "function": {"name": "read", "parameters": TOOL}}


def group(stack: Stack, account: Account, name: str, **fields: object) -> None:
    """Made over the API of one process, and waited for in all."""
    with stack.http(account) as client:
        made = client.post("/v1/groups", json={"name": name, **fields})
    assert made.status_code == 201, made.text
    time.sleep(WITHIN_S)


def answers(
    upstream: Upstream, *names: str, text: str = "hello", dialect: Dialect = OPENAI
) -> None:
    for name in names:
        upstream.on(name, reply(body=transcripts.body(dialect, transcripts.answer(text))))


def ask(client: httpx2.Client, path: str, model: str, **fields: object) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 50}
    return client.post(path, json={**body, **fields})


@pytest.mark.parametrize("streamed", [False, True])
def test_claude_code_reaches_an_openai_provider_by_an_alias(
    stack: Stack, upstream: Upstream, account: Account, streamed: bool
) -> None:
    group(stack, account, "team", aliases={"claude-sonnet-*": ["alpha/one", "gamma/one"]})
    if streamed:
        frames = transcripts.frames(OPENAI, transcripts.answer("hello"))
        upstream.on("alpha-one", stream(frames))
    else:
        answers(upstream, "alpha-one")

    for web in stack.webs:
        client = Anthropic(
            base_url=f"{web.url}/team", api_key=account.api_key, max_retries=0, timeout=30
        )
        asked: dict[str, Any] = {
            "model": "claude-sonnet-x",
            "max_tokens": 50,
            "messages": [{"role": "user", "content": "Hi."}],
        }
        if streamed:
            with client.messages.stream(**asked) as events:
                message: Any = events.get_final_message()
        else:
            message = client.messages.create(**asked)

        assert message.content[0].text == "hello"
        assert message.model == "claude-sonnet-x"
        assert upstream.requests[-1].json()["model"] == "alpha-one"


def test_a_group_isolates_and_its_errors_are_in_the_clients_protocol(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    group(stack, account, "team", aliases={"x": ["alpha/one"]})
    stranger = stack.account()

    with stack.http(account) as client, stack.http(stranger) as other:
        inside = ask(client, "/team/v1/messages", "alpha/one")
        unknown = ask(client, "/none/v1/messages", "x")
        openai = ask(client, "/none/v1/chat/completions", "x")
        theirs = ask(other, "/team/v1/chat/completions", "x")
        by_name = ask(other, "/v1/chat/completions", "team@x")

    assert (inside.status_code, inside.json()["type"]) == (404, "error")
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "not_found_error")
    assert openai.json()["error"]["code"] == "group_not_found"
    assert (theirs.status_code, theirs.json()["error"]["code"]) == (404, "group_not_found")
    assert (by_name.status_code, by_name.json()["error"]["code"]) == (404, "model_not_found")
    assert upstream.count() == 0


def test_an_alias_fails_over_in_its_order_and_the_receipt_names_what_answered(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    group(stack, account, "team", aliases={"x": ["beta/one", "gamma/one"]})
    upstream.on("beta-one", reply(status=401, body=b"{}"))
    answers(upstream, "gamma-one")

    with stack.http(account) as client:
        answer = ask(client, "/v1/chat/completions", "team@x")

    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "gamma/one"
    receipt = stack.generation(account, answer.headers["x-ccapi-generation-id"])
    assert receipt["model"] == "gamma/one"
    stack.wait_for_no_holds()


def test_round_robin_asks_all_targets(stack: Stack, upstream: Upstream, account: Account) -> None:
    group(stack, account, "team", aliases={"x": ["alpha/one", "gamma/one"]}, balance="round_robin")
    answers(upstream, "alpha-one", "gamma-one")

    with stack.http(account) as client:
        for _ in range(40):
            assert ask(client, "/team/v1/chat/completions", "x").status_code == 200

    asked = [each.json()["model"] for each in upstream.requests]
    # Evenly at random: less than 5 of 40 happens once in 20 million runs.
    assert min(asked.count("alpha-one"), asked.count("gamma-one")) >= 5


@pytest.mark.xdist_group("alone")
def test_switch_follows_the_active_group_within_a_second_in_every_process(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    answers(upstream, "alpha-one", "gamma-one")
    group(stack, account, "one", aliases={"x": ["alpha/one"]})
    group(stack, account, "two", aliases={"x": ["gamma/one"]})
    clients = [stack.http(account, web) for web in stack.webs]

    def served() -> list[str]:
        told = []
        for client in clients:
            answer = ask(client, "/switch/v1/chat/completions", "x")
            told.append(answer.headers.get("x-ccapi-model", str(answer.status_code)))
        return told

    before = served()
    after = []
    for name in ("one", "two", "default"):
        assert clients[0].post(f"/groups/{name}/activate").json()["active"] == name
        time.sleep(WITHIN_S)
        after.append(served())

    assert before == ["404", "404"]
    assert after == [["alpha/one"] * 2, ["gamma/one"] * 2, ["404"] * 2]
    for client in clients:
        client.close()


def test_a_group_of_compat_reads_calls_on_a_plain_path(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    group(stack, account, "told", aliases={"x": ["alpha/one"]}, tool_compat="compat")
    answers(upstream, "alpha-one", text=CALL)
    client = Anthropic(base_url=f"{stack.webs[0].url}/told", api_key=account.api_key)

    message = client.messages.create(
        model="x",
        max_tokens=50,
        messages=[{"role": "user", "content": "Read."}],
        tools=[CLAUDE_TOOL],
    )

    assert message.stop_reason == "tool_use"
    assert "tools" not in upstream.requests[-1].json()


@pytest.mark.parametrize("streamed", [False, True])
def test_a_group_of_native_sends_tools_on_a_compat_path_and_hands_text_on(
    stack: Stack, upstream: Upstream, account: Account, streamed: bool
) -> None:
    group(stack, account, "native", aliases={"x": ["alpha/one"]}, tool_compat="native")
    said = transcripts.answer(CALL)
    if streamed:
        upstream.on("alpha-one", stream(transcripts.frames(OPENAI, said)))
    else:
        answers(upstream, "alpha-one", text=CALL)
    base = f"{stack.webs[0].url}/native/compat_mode/v1"
    client = OpenAI(base_url=base, api_key=account.api_key)
    asked: dict[str, Any] = {
        "model": "x",
        "messages": [{"role": "user", "content": "Read."}],
        "tools": [OPENAI_TOOL],
    }

    if streamed:
        with client.chat.completions.stream(**asked) as events:
            choice: Any = events.get_final_completion().choices[0]
    else:
        choice = client.chat.completions.create(**asked).choices[0]

    assert choice.message.content == CALL
    assert not choice.message.tool_calls
    assert upstream.requests[-1].json()["tools"] == [OPENAI_TOOL]


def test_rules_reach_a_provider_of_the_same_protocol_with_the_clients_headers(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    group(
        stack,
        account,
        "rules",
        aliases={"claude-*": ["beta/one"]},
        prompt_injection="enhance",
        prompt_text="Be brief.",
        tool_filter=["WebSearch"],
        temperature_ratio=0.5,
    )
    answers(upstream, "beta-one", dialect=ANTHROPIC)
    system = [
        {"type": "text", "text": "You are A."},
        {"type": "text", "text": "You are B.", "cache_control": {"type": "ephemeral"}},
    ]

    with stack.http(account) as client:
        client.headers["anthropic-beta"] = "some-beta-2025"
        answer = ask(
            client,
            "/rules/v1/messages",
            "claude-x",
            system=system,
            temperature=0.8,
            tools=[CLAUDE_TOOL, {**CLAUDE_TOOL, "name": "WebSearch"}],
        )

    sent = upstream.requests[-1]
    body = sent.json()
    assert answer.status_code == 200, answer.text
    assert body["system"][:2] == system
    assert body["system"][2]["text"].endswith(
        "<cs:behavioral-guidelines>Be brief.</cs:behavioral-guidelines>"
    )
    assert [tool["name"] for tool in body["tools"]] == ["read"]
    assert body["temperature"] == 0.4
    assert sent.headers["anthropic-beta"] == "some-beta-2025"


def test_an_alias_without_rules_passes_the_bytes_of_its_own_protocol(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    group(stack, account, "plain", aliases={"x": ["alpha/one"]})
    answers(upstream, "alpha-one")

    with stack.http(account) as client:
        answer = ask(client, "/plain/v1/chat/completions", "x", not_known_here={"a": 1})

    assert answer.status_code == 200
    assert upstream.requests[-1].json()["not_known_here"] == {"a": 1}
    said = json.loads(transcripts.body(OPENAI, transcripts.answer("hello")))
    assert answer.json()["model"] == said["model"], "what the provider said"
    assert "provider" not in answer.json()


def test_a_disabled_group_is_off_within_a_second_in_every_process(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    answers(upstream, "alpha-one")
    body = {"aliases": {"x": ["alpha/one"]}}
    group(stack, account, "team", **body)
    clients = [stack.http(account, web) for web in stack.webs]
    before = [ask(each, "/team/v1/chat/completions", "x").status_code for each in clients]

    clients[0].put("/groups/team", json={**body, "disabled": True})
    time.sleep(WITHIN_S)
    after = [ask(each, "/team/v1/chat/completions", "x").status_code for each in clients]

    assert (before, after) == ([200, 200], [404, 404])
    for client in clients:
        client.close()
