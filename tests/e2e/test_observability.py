"""What an operator sees of two real web processes: metrics, log lines, timings, traces, alerts."""

import json
import time
from collections.abc import Iterator

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.stack import Account, Web, running
from tests.e2e.watched import Watched
from tests.fakes import transcripts
from tests.fakes.collector import Collector
from tests.fakes.steps import RESET, Script, reply, stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI
from tests.fakes.upstream import Upstream, closed_port

PROMPT = "canary-prompt-4711"
ANSWER = "canary-answer-4712"
ECHOED = "canary-error-4713"
CHAT = "/v1/chat/completions"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
BODY = {"model": "alpha/one", "messages": [{"role": "user", "content": PROMPT}]}
WHOLE = reply(body=transcripts.body(OPENAI, transcripts.answer(ANSWER)))
STREAM = stream(transcripts.frames(OPENAI, transcripts.answer(ANSWER)))
NO_MONEY = reply(402, b'{"error":{"message":"Insufficient balance: canary-error-4713"}}')
LINES = {"exchange.finished", "request.refused", "request.finished"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with (
        Upstream() as upstream,
        closed_port() as dead,
        Collector() as collector,
        running(upstream, dead, accounts={"1.00": 12, "0.000001": 1}, name="watched") as stack,
    ):
        watched = Watched(stack, collector, tmp_path_factory.mktemp("watched"))
        watched.web()
        watched.web()
        yield watched
        stack.wait_for_no_holds()
        stack.audit()


@pytest.fixture
def upstream(watched: Watched) -> Upstream:
    watched.stack.upstream.reset()
    return watched.stack.upstream


@pytest.fixture
def account(watched: Watched, upstream: Upstream) -> Account:
    return watched.stack.account()


def test_metrics_of_two_processes_are_one_sum_and_stay_right_when_one_is_killed_and_replaced(
    watched: Watched, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-one", WHOLE)
    stack = watched.stack
    labels = {"model": "alpha/one", "provider": "alpha", "outcome": "ok", "status": "2xx"}
    first, second = stack.webs[-2:]

    def ask(web: Web, times: int) -> None:
        with stack.http(account, web) as client:
            for _ in range(times):
                assert client.post(CHAT, json=BODY).status_code == 200

    before = watched.total("ccapi_requests_total", **labels)
    ask(first, 3)
    ask(second, 4)
    assert watched.total("ccapi_requests_total", **labels) == before + 7
    watched.wait_for("ccapi_processes", 2)
    first.kill()
    assert watched.total("ccapi_requests_total", **labels) == before + 7
    assert watched.total("ccapi_processes") == 1
    third = watched.web()
    ask(third, 2)
    ask(second, 1)

    assert watched.total("ccapi_requests_total", **labels) == before + 10
    assert watched.total("ccapi_processes", kind="web") == 2
    assert watched.total("ccapi_attempts_total", provider="alpha", kind="ok") >= 10
    assert watched.total("ccapi_request_seconds_count", provider="alpha") >= 10
    tokens = {"model": "alpha/one", "provider": "alpha"}
    assert watched.total("ccapi_tokens_total", **tokens, direction="input") == 10 * (before + 10)
    assert watched.total("ccapi_tokens_total", **tokens, direction="output") == 5 * (before + 10)
    assert watched.total("ccapi_charged_usd_total", **tokens) == pytest.approx(
        0.000_02 * (before + 10)
    )


def test_a_scrape_is_prometheus_text_and_names_no_customer(
    watched: Watched, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-one", WHOLE)
    with watched.stack.http(account) as client:
        client.post(CHAT, json=BODY)
        client.get("/credits")

    text = watched.scrape_text()

    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["ccapi_gateway_seconds"].type == "histogram"
    assert families["ccapi_requests"].documentation
    assert families["ccapi_build_info"].samples[0].value == 1
    assert "ccapi_loop_lag_seconds" in families
    assert account.organization not in text
    assert "key_" not in text


def test_requests_under_way_are_gauges(
    watched: Watched, upstream: Upstream, account: Account
) -> None:
    frames = transcripts.frames(OPENAI, transcripts.answer("one two three four"))
    upstream.on("alpha-one", stream(frames, pace=0.45))

    with (
        watched.stack.http(account) as client,
        client.stream("POST", CHAT, json={**BODY, "stream": True}) as answer,
    ):
        watched.wait_for("ccapi_requests_open", 1, mode="stream")
        assert watched.total("ccapi_held_usd") > 0
        assert watched.total("ccapi_oldest_request_seconds") > 0
        answer.read()

    watched.wait_for("ccapi_requests_open", 0, mode="stream")
    watched.wait_for("ccapi_held_usd", 0)


def timing(answer: httpx2.Response) -> dict[str, float]:
    """`Server-Timing`: milliseconds by name."""
    pairs = (part.strip().split(";dur=") for part in answer.headers["server-timing"].split(","))
    return {name: float(value) for name, value in pairs}


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_server_timing_tells_our_own_share_apart_from_the_wait_for_the_provider(
    watched: Watched, upstream: Upstream, account: Account, is_stream: bool
) -> None:
    said = transcripts.answer(ANSWER)
    slow = (
        stream(transcripts.frames(OPENAI, said), first_byte_s=0.3)
        if is_stream
        else reply(body=transcripts.body(OPENAI, said), first_byte_s=0.3)
    )
    upstream.on("gamma-one", RESET)
    upstream.on("alpha-one", slow)

    with watched.stack.http(account) as client:
        began = time.monotonic()
        answer = client.post(
            CHAT, json={**BODY, "model": "gamma/one", "models": ["alpha/one"], "stream": is_stream}
        )
        took_ms = (time.monotonic() - began) * 1000

    told = timing(answer)
    assert set(told) == {"gateway", "upstream"}
    assert 300 <= told["upstream"] <= took_ms
    assert 0 < told["gateway"] < 100
    assert told["gateway"] + told["upstream"] <= took_ms


def test_refusals_and_rest_answers_tell_their_time_too(watched: Watched, account: Account) -> None:
    with watched.stack.http(account) as client:
        refused = client.post(CHAT, json={**BODY, "model": "nobody/nothing"})
        rest = client.get("/v1/credits")

    assert refused.status_code == 404
    assert 0 < timing(refused)["gateway"] < 1000
    assert 0 < timing(rest)["gateway"] < 1000


def test_every_request_is_one_line_with_its_id(
    watched: Watched, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-one", WHOLE)
    broke = watched.stack.account("0.000001")
    web = watched.stack.webs[-1]
    with (
        watched.stack.http(account, web) as client,
        watched.stack.http(None, web) as stranger,
        watched.stack.http(broke, web) as poor,
    ):
        answers = {
            "": client.post(CHAT, json=BODY),
            "unauthorized": stranger.post(CHAT, json=BODY),
            "insufficient_credits": poor.post(CHAT, json=BODY),
            "model_not_found": client.post(CHAT, json={**BODY, "model": "nobody/nothing"}),
            "invalid_json": client.post(CHAT, content=b"{nonsense"),
            "method_not_allowed": client.get(CHAT),
            "rest 200": client.get("/v1/credits"),
            "rest 404": client.get("/v1/generations/gen_nonsense"),
            "rest no route": client.get("/nowhere"),
            "guard": client.get("/a/../b", headers={"host": "evil\texample"}),
        }
    time.sleep(0.1)  # a line leaves at the end of the loop's turn

    for case, answer in answers.items():
        request_id = answer.headers["x-request-id"]
        found = watched.lines(request_id=request_id)
        assert [line["event"] for line in found if line["event"] in LINES] != [], case
        (line,) = [line for line in found if line["event"] in LINES]
        if line["event"] == "request.refused":
            assert line["status"] == answer.status_code
        if "_" in case or case == "unauthorized":
            assert line["code"] == answer.json()["error"]["code"]
            assert line["route"] == CHAT
    unauthorized = watched.total("ccapi_refusals_total", code="unauthorized", status="401")
    assert unauthorized >= 1
    assert watched.total("ccapi_http_requests_total", route="/v1/credits", status="200") >= 1


def test_a_trace_has_a_span_for_the_request_and_one_for_each_attempt(
    watched: Watched, upstream: Upstream, account: Account
) -> None:
    status, body = transcripts.error(OPENAI, "server")
    upstream.on("gamma-one", reply(status, body))
    upstream.on("alpha-one", STREAM)

    with watched.stack.http(account) as client:
        answer = client.post(
            CHAT,
            json={**BODY, "model": "gamma/one", "models": ["alpha/one"], "stream": True},
            headers={"traceparent": TRACEPARENT},
        )

    own, *calls = watched.collector.trace(answer.headers["x-request-id"])
    told = own["attributes"]
    assert (own["traceId"], own["parentSpanId"]) == tuple(TRACEPARENT.split("-")[1:3])
    assert own["kind"] == "SPAN_KIND_SERVER"
    assert told["gen_ai.request.model"] == "gamma/one"
    assert told["gen_ai.response.model"] == "alpha/one"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (10, 5)
    assert told["http.response.status_code"] == 200
    assert [call["attributes"]["gen_ai.provider.name"] for call in calls] == [
        *["gamma"] * upstream.count("gamma-one"),
        "alpha",
    ]
    assert {call["parentSpanId"] for call in calls} == {own["spanId"]}
    assert calls[0]["attributes"]["error.type"] == "upstream_error"
    assert "error.type" not in calls[-1]["attributes"]
    sent = [request.headers["traceparent"].split("-") for request in upstream.requests]
    assert [parts[2] for parts in sent] == [call["spanId"] for call in calls]
    for call in calls:
        assert own["startTimeUnixNano"] <= call["startTimeUnixNano"]
        assert call["endTimeUnixNano"] <= own["endTimeUnixNano"]


def test_a_trace_of_vectors_is_of_embeddings(
    watched: Watched, upstream: Upstream, account: Account
) -> None:
    told = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    upstream.on("alpha-vectors", reply(body=json.dumps(told).encode()))

    with watched.stack.http(account) as client:
        answer = client.post("/v1/embeddings", json={"model": "alpha/vectors", "input": "Hello"})

    assert answer.status_code == 200, answer.text
    for span in watched.collector.trace(answer.headers["x-request-id"]):
        assert span["name"].startswith("embeddings alpha")
        assert span["attributes"]["gen_ai.operation.name"] == "embeddings"


def test_a_refused_request_is_a_span_with_its_error(watched: Watched) -> None:
    with watched.stack.http(None) as stranger:
        answer = stranger.post(CHAT, json=BODY)

    (span,) = watched.collector.trace(answer.headers["x-request-id"])

    assert span["attributes"]["error.type"] == "unauthorized"
    assert span["status"] == "STATUS_CODE_ERROR"


def test_an_empty_account_at_a_provider_alarms_once_over_all_processes(
    watched: Watched, upstream: Upstream, account: Account
) -> None:
    upstream.on("delta-one", NO_MONEY)
    stack, webs = watched.stack, watched.stack.webs[-2:]
    body = {**BODY, "model": "delta/one"}

    for web in (*webs, *webs):
        with stack.http(account, web) as client:
            assert client.post(CHAT, json=body).json()["error"]["code"] == "provider_misconfigured"

    assert watched.total("ccapi_alerts_total", kind="provider.out_of_money") >= 4
    deadline = time.monotonic() + 5
    query = "SELECT subject, count FROM alert WHERE kind = 'provider.out_of_money'"
    while (rows := stack.rows(query)) != [("delta", 2)]:
        assert time.monotonic() < deadline, rows
        time.sleep(0.05)
    time.sleep(0.2)
    posts = [post for post in watched.collector.posts if post["subject"] == "delta"]
    assert [post["kind"] for post in posts] == ["provider.out_of_money"]
    lines = watched.lines(event="provider.out_of_money", subject="delta", level="error")
    assert len(lines) == 2, "one a process and cool-down"


MIXED: dict[str, tuple[Script, str]] = {
    "whole": (WHOLE, ANSWER),
    "error that quotes the prompt": (
        reply(500, b'{"error":{"message":"canary-error-4713 canary-prompt-4711"}}'),
        "",
    ),
    "key refused, quoting it": (
        reply(401, b'{"error":{"message":"bad key upstream-secret-of-alpha canary-error-4713"}}'),
        "",
    ),
    "invalid request": (reply(400, b'{"error":{"message":"canary-error-4713"}}'), ECHOED),
    "no json": (reply(body=b"canary-error-4713 <html>", media_type="text/html"), ""),
    "garbled stream": (stream([b"data: {canary-error-4713\n\n"]), ""),
    "reset": (RESET, ""),
}


def test_no_prompt_no_answer_and_no_key_is_in_logs_metrics_or_traces(
    watched: Watched, upstream: Upstream, account: Account
) -> None:
    for script, expected in MIXED.values():
        for is_stream in (False, True):
            upstream.on("alpha-one", STREAM if is_stream and script is WHOLE else script)
            with watched.stack.http(account) as client:
                answer = client.post(CHAT, json={**BODY, "stream": is_stream})
            assert is_stream or expected in answer.text
            last = answer.headers["x-request-id"]
    upstream.on("beta-one", reply(body=transcripts.body(ANTHROPIC, transcripts.answer(ANSWER))))
    with watched.stack.http(account) as client:
        client.post(CHAT, json={**BODY, "model": PROMPT})
        client.post(f"{CHAT}?key={account.api_key}", json={**BODY, "model": "beta/one"})
        client.post("/v1/messages", content=b'{"model": "' + PROMPT.encode())
        client.get(f"/nowhere/{PROMPT}")
    watched.collector.trace(last)
    time.sleep(0.3)

    places = {
        "log": watched.log_text(),
        "metrics": watched.scrape_text(),
        "traces": b"".join(watched.collector.raw).decode(errors="replace"),
    }
    for place, text in places.items():
        assert len(text) > 1000, place
        for canary in (
            *(PROMPT, ANSWER, ECHOED),
            *("upstream-secret-of", account.api_key, account.api_key[6:-6]),
        ):
            assert canary not in text, (place, canary)
