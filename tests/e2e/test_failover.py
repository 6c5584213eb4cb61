"""Failover over `models`: what moves on, what does not, and what the client is told."""

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.sandbox.failures import Kind
from tests.e2e.stack import Account, Stack
from tests.fakes import transcripts
from tests.fakes.steps import CLOSE, RESET, SILENCE, Script, Send, head, reply, stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI
from tests.fakes.upstream import Upstream

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi."}]
BODY = {"models": ["alpha/one", "beta/one"], "messages": HI}
GOOD = transcripts.answer("from the second")
WHOLE = transcripts.body(OPENAI, transcripts.answer("from the first"))
FRAMES = transcripts.frames(OPENAI, transcripts.answer("from the first"))


def error(kind: Kind) -> Script:
    status, body = transcripts.error(OPENAI, kind)
    return reply(status, body)


MOVES_ON: dict[str, tuple[Script, int]] = {
    "server error": (error("server"), 500),
    "rate limited": (error("rate_limited"), 429),
    "overloaded": (error("overloaded"), 503),
    "our key refused": (error("invalid_key"), 401),
    "our account empty": (reply(402, b'{"error":{"message":"Insufficient balance"}}'), 402),
    "model not there": (error("not_found"), 404),
    "context too long": (error("context_length"), 400),
    "request timeout": (reply(408, b"{}"), 408),
    "conflict": (reply(409, b"{}"), 409),
    "reset": (RESET, 502),
    "closed without a byte": (CLOSE, 502),
    "no first byte": (SILENCE, 504),
    "cut body": (reply(body=WHOLE, cut_after=20), 502),
    "not json": (reply(body=b"<html>hello</html>", media_type="text/html"), 502),
    "error inside a 200": (reply(body=b'{"error":{"message":"oops","code":500}}'), 500),
    "headers then silence": ((Send(head(200, {"content-length": "100"})), *SILENCE), 504),
}
MOVES_ON_STREAMED: dict[str, Script] = {
    "server error": error("server"),
    "reset": RESET,
    "no first byte": SILENCE,
    "cut before content": stream(FRAMES[:1], cut_after=len(FRAMES[0]) - 4),
    "ended before content": stream(FRAMES[:1]),
    "empty but complete": stream(transcripts.frames(OPENAI, transcripts.answer("", usage=(5, 0)))),
    "garbled first frame": stream([b"data: {nonsense\n\n", *FRAMES]),
    "error inside before content": stream([transcripts.error_frame(OPENAI, "server")]),
    "json error with status 200": reply(body=b'{"error":{"message":"oops"}}'),
}


@pytest.mark.parametrize("case", MOVES_ON)
def test_a_whole_answer_moves_on_after(
    stack: Stack, upstream: Upstream, account: Account, case: str
) -> None:
    script, status = MOVES_ON[case]
    upstream.on("alpha-one", script)
    upstream.on("beta-one", reply(body=transcripts.body(ANTHROPIC, GOOD)))

    with stack.http(account) as client:
        answer = client.post("/v1/chat/completions", json=BODY)

    if case == "context too long":
        # Only a larger window could help, and the second model's is not.
        assert answer.status_code == 400
        assert upstream.count("beta-one") == 0
        return
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "from the second"
    assert answer.json()["model"] == "beta/one"
    assert answer.headers["x-ccapi-attempts"] == f"alpha/one={status};beta/one=200"
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000 - 20_000, 0)


@pytest.mark.parametrize("case", MOVES_ON_STREAMED)
def test_a_stream_moves_on_before_its_first_content_after(
    stack: Stack, upstream: Upstream, account: Account, case: str
) -> None:
    upstream.on("alpha-one", MOVES_ON_STREAMED[case])
    upstream.on("beta-one", stream(transcripts.frames(ANTHROPIC, GOOD)))

    chunks = list(
        stack.openai(account).chat.completions.create(
            model="alpha/one",
            messages=HI,
            stream=True,
            extra_body={"models": ["beta/one"]},
        )
    )

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "from the second"
    assert {chunk.model for chunk in chunks} == {"beta/one"}
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000 - 20_000, 0)


def test_a_dead_provider_is_told_as_a_502_and_costs_nothing(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("gamma-one", reply(body=transcripts.body(OPENAI, GOOD)))

    with stack.http(account) as client:
        alone = client.post("/chat/completions", json={**BODY, "models": ["dead/one"]})
        followed = client.post(
            "/chat/completions", json={**BODY, "models": ["dead/one", "gamma/one"]}
        )

    assert alone.status_code == 502
    assert alone.json()["error"]["code"] == "upstream_unreachable"
    assert followed.headers["x-ccapi-attempts"] == "dead/one=502;gamma/one=200"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_for_everybody_does_not_move_on(
    stack: Stack, upstream: Upstream, account: Account, status: int
) -> None:
    body = b'{"error":{"message":"no such parameter","type":"invalid_request_error"}}'
    upstream.on("alpha-one", reply(status, body))

    with stack.http(account) as client:
        answer = client.post("/v1/chat/completions", json=BODY)

    assert answer.status_code == status
    assert upstream.count("beta-one") == 0


def test_when_all_fail_the_error_lists_every_attempt(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-one", error("server"))
    upstream.on("beta-one", reply(*transcripts.error(ANTHROPIC, "overloaded")))

    with stack.http(account) as client:
        answer = client.post("/v1/chat/completions", json=BODY)

    assert answer.status_code == 503
    told = answer.json()["error"]
    assert told["code"] == "upstream_overloaded"
    assert [(tried["model"], tried["status"]) for tried in told["details"]["attempts"]] == [
        ("alpha/one", 500),
        ("beta/one", 529),
    ]
    assert "retry-after" in answer.headers


def test_only_when_every_candidate_is_rate_limited_is_it_a_429(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-one", error("rate_limited"))
    upstream.on("gamma-one", error("rate_limited"))

    with pytest.raises(openai.RateLimitError) as limited:
        stack.openai(account).chat.completions.create(
            model="alpha/one",
            messages=HI,
            extra_body={"models": ["gamma/one"]},
        )

    assert limited.value.code == "upstream_rate_limited"
    assert limited.value.response.headers["retry-after"]


def test_a_stale_connection_is_tried_once_more_without_being_an_attempt(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-one", CLOSE, reply(body=WHOLE))

    with stack.http(account) as client:
        answer = client.post("/v1/chat/completions", json={**BODY, "models": ["alpha/one"]})

    assert answer.status_code == 200
    assert answer.headers["x-ccapi-attempts"] == "alpha/one=200"


def test_each_attempt_is_prepared_from_the_original_request(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("beta-one", reply(*transcripts.error(ANTHROPIC, "server")))
    upstream.on("alpha-one", reply(body=WHOLE))
    messages = [{"role": "user", "content": "Hi.", "name": "ada"}]

    with stack.http(account) as client:
        client.post(
            "/v1/chat/completions",
            json={"models": ["beta/one", "alpha/one"], "messages": messages, "seed": 7},
        )

    assert upstream.requests[-1].json()["messages"] == messages
    assert upstream.requests[-1].json()["seed"] == 7
    assert "models" not in upstream.requests[-1].json()


def test_the_catalog_tells_how_a_provider_did_in_the_last_hour(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    failing, good = error("server"), reply(body=transcripts.body(OPENAI, GOOD))
    upstream.on("measured-one", failing, good, failing, good, failing, failing, good, failing)
    body = {"model": "measured/one", "messages": HI}

    with stack.http(account) as client:
        for _ in range(8):
            client.post("/v1/chat/completions", json=body)
        stack.wait_for_no_holds()
        told = client.get("/v1/providers/measured").json()

    assert told["status"] == "down"
    assert told["success_rate"] == 0.375
    assert 0 <= told["latency_ms"]["p50"] <= told["latency_ms"]["p95"]
    assert [model["id"] for model in told["models"]] == ["measured/one"]


def test_a_whole_answer_that_stalls_in_its_body_is_a_timeout(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-one", reply(body=WHOLE, cut_after=30, ending=SILENCE))

    with stack.http(account) as client:
        answer = client.post("/v1/chat/completions", json={"model": "alpha/one", "messages": HI})

    # The gap between two reads may be one second in this catalog, the whole answer twenty.
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "upstream_timeout"
    assert answer.elapsed.total_seconds() < 5
