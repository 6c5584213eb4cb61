"""What tests of limits do to a product: limit somebody, and ask for much at once."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx2

from tests.e2e.stack import Account, Stack
from tests.fakes import transcripts
from tests.fakes.steps import Script, reply, stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI

HI = [{"role": "user", "content": "Hi."}]
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


_LIMIT = """
UPDATE organization
SET rpm = coalesce(%s, rpm), tpm = coalesce(%s, tpm), concurrent = coalesce(%s, concurrent)
WHERE public_id = %s RETURNING id
"""
_LIMIT_KEY = """
UPDATE api_key SET rpm = %s WHERE id = (
  SELECT max(k.id) FROM api_key k JOIN organization o ON o.id = k.organization_id
  WHERE o.public_id = %s) RETURNING id
"""


def limit(
    stack: Stack,
    account: Account,
    *,
    rpm: int | None = None,
    tpm: int | None = None,
    concurrent: int | None = None,
) -> None:
    """Limit an organization; acts within a second, and at once where nobody has met it yet."""
    assert stack.rows(_LIMIT, rpm, tpm, concurrent, account.organization)


def limit_newest_key(stack: Stack, account: Account, *, rpm: int) -> None:
    """The same for the newest key of an organization."""
    assert stack.rows(_LIMIT_KEY, rpm, account.organization)


def second_key(stack: Stack, account: Account) -> Account:
    """Another key of the same organization."""
    made = json.loads(
        stack.manage("account", "key", account.organization, "--name", "two", "--json").stdout
    )
    return Account(organization=account.organization, api_key=made["api_key"])


def answer(usage: tuple[int, int] = (10, 5), *, protocol: str = CHAT, wait_s: float = 0) -> Script:
    dialect = OPENAI if protocol == CHAT else ANTHROPIC
    said = transcripts.answer("Hello.", usage=usage)
    return reply(body=transcripts.body(dialect, said), first_byte_s=wait_s)


def slow_stream(pieces: int, pace_s: float) -> Script:
    said = transcripts.answer(" ".join(["word"] * pieces), usage=(10, pieces))
    return stream(transcripts.frames(OPENAI, said), pace=pace_s)


def burst(
    urls: Sequence[str],
    accounts: Sequence[Account],
    times: int,
    *,
    path: str = CHAT,
    **body: object,
) -> list[httpx2.Response]:
    """So many requests at once, in turn over the web processes and the accounts."""
    given: dict[str, Any] = {"model": "alpha/one", "messages": HI, "max_tokens": 10, **body}

    async def all_at_once() -> list[httpx2.Response]:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx2.AsyncClient(limits=limits, timeout=30) as client:
            return await asyncio.gather(
                *(
                    client.post(
                        urls[number % len(urls)] + path,
                        json=given,
                        headers={
                            "authorization": f"Bearer {accounts[number % len(accounts)].api_key}"
                        },
                    )
                    for number in range(times)
                )
            )

    return asyncio.run(all_at_once())


def statuses(answers: Sequence[httpx2.Response]) -> dict[int, int]:
    return dict(Counter(each.status_code for each in answers))


def codes(answers: Sequence[httpx2.Response]) -> set[str]:
    return {each.json()["error"]["code"] for each in answers if each.status_code == 429}


def rate_headers(response: httpx2.Response) -> dict[str, str]:
    start = "x-ratelimit-"
    return {
        name.removeprefix(start): value
        for name, value in response.headers.items()
        if name.startswith(start)
    }
