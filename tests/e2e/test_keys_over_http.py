"""Keys made, changed, rotated and revoked over HTTP, while other web processes answer with them."""

import time
from typing import Any

import httpx2
import pytest

from tests.e2e.stack import Account, Stack, Web
from tests.fakes import transcripts
from tests.fakes.steps import reply
from tests.fakes.transcripts import OPENAI
from tests.fakes.upstream import Upstream

CHAT = {"model": "alpha/one", "messages": [{"role": "user", "content": "Say hi."}]}


@pytest.fixture(autouse=True)
def answering(stack: Stack, upstream: Upstream) -> None:
    said = reply(body=transcripts.body(OPENAI, transcripts.answer("hi")))
    upstream.on("alpha-one", *[said] * 200)


def call(web: Web, secret: str) -> tuple[int, str]:
    answer = httpx2.post(
        f"{web.url}/v1/chat/completions",
        json=CHAT,
        headers={"authorization": f"Bearer {secret}"},
        timeout=10,
    )
    return answer.status_code, "" if answer.status_code == 200 else answer.json()["error"]["code"]


def change(stack: Stack, account: Account, method: str, path: str, **body: object) -> Any:  # noqa: ANN401
    with stack.http(account) as client:
        answer = client.request(method, f"/v1/keys{path}", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def until(web: Web, secret: str, expected: tuple[int, str]) -> float:
    """Seconds until this process answers so."""
    began = time.monotonic()
    while (found := call(web, secret)) != expected:
        assert time.monotonic() - began < 5, found
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.xdist_group("alone")
def test_a_rotation_acts_within_a_second_in_every_process(stack: Stack, account: Account) -> None:
    made = change(stack, account, "POST", "", name="rotates")
    for web in stack.webs:
        assert call(web, made["key"]) == (200, "")  # and is remembered

    rotated = change(stack, account, "POST", f"/{made['id']}/rotate", overlap_seconds=2)
    turned = time.monotonic()
    for web in stack.webs:
        assert call(web, rotated["key"]) == (200, "")
        assert call(web, made["key"]) == (200, "")
    for web in stack.webs:
        until(web, made["key"], (401, "key_expired"))
        assert 1.9 < time.monotonic() - turned < 3.2

    again = change(stack, account, "POST", f"/{made['id']}/rotate")
    for web in stack.webs:
        assert until(web, rotated["key"], (401, "key_expired")) < 1
        assert call(web, again["key"]) == (200, "")


@pytest.mark.xdist_group("alone")
def test_a_change_and_a_revocation_act_within_a_second_in_every_process(
    stack: Stack, account: Account
) -> None:
    made = change(stack, account, "POST", "", name="changes")
    for web in stack.webs:
        assert call(web, made["key"]) == (200, "")

    change(stack, account, "PATCH", f"/{made['id']}", allowed_models=["alpha/two"])
    for web in stack.webs:
        assert until(web, made["key"], (403, "model_not_allowed")) < 1
    change(stack, account, "DELETE", f"/{made['id']}")
    for web in stack.webs:
        assert until(web, made["key"], (401, "key_revoked")) < 1


def test_what_a_key_used_is_in_the_report_and_in_the_list(stack: Stack, account: Account) -> None:
    made = change(stack, account, "POST", "", name="counts")
    for _ in range(3):
        assert call(stack.webs[0], made["key"]) == (200, "")
    stack.wait_for_no_holds()

    with stack.http(account, stack.webs[1]) as client:
        usage = client.get("/usage", params={"group_by": "key,model"}).json()
        listed = client.get("/v1/generations", params={"key": made["id"]}).json()

    (line,) = usage["data"]
    assert (line["key"], line["model"], line["requests"]) == (made["id"], "alpha/one", 3)
    assert line == {**usage["total"], "key": made["id"], "model": "alpha/one"}
    assert [item["key"] for item in listed["data"]] == [made["id"]] * 3
    paid = 1_000_000_000 - stack.balance(account)[0]
    assert usage["total"]["cost"] == f"{paid / 1e9:.9f}".rstrip("0")
