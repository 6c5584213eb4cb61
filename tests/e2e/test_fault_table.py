"""The fault table: what a provider may do wrong, and what comes of it. This page is the contract.

Each row is run against a real product, in both protocols: alone, with a candidate behind it, and
often enough for its breaker to open. `BEFORE` is what happens before the first content of an
answer (nothing is charged, the next candidate takes over), `AFTER` what breaks a stream that has
begun (an error event, never the success marker, and what was delivered is charged), `RETRY_AFTER`
what a 429 may say, and `USAGE` what a complete answer may say that it used.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.core import valkey_server
from tests.e2e import faulting
from tests.e2e.faulting import (
    AS_IT_CAME,
    DIALECTS,
    FAILURES,
    FALLBACK_COST,
    OTHER,
    PATHS,
    Case,
    Form,
    Protocol,
    Stage,
    Story,
)
from tests.e2e.stack import Stack
from tests.fakes import faults, transcripts
from tests.fakes.steps import Script, reply, stream
from tests.fakes.upstream import Upstream

WORKERS = 16
# What clients of this protocol know in place of our status.
CONVENTION: dict[Protocol, dict[int, int]] = {"openai": {}, "anthropic": {502: 500, 503: 529}}

Then = str
NEXT: Then = "the next candidate answers"
SKIPPED: Then = "out of service at once, the next candidate answers"
FINAL: Then = "wrong for everybody, nobody else is asked"


class Row(NamedTuple):
    attempts: str  # as `x-ccapi-attempts` tells them where nobody else is left
    status: int
    code: str
    then: Then  # with a candidate behind it
    blamed: str  # what is out of service after three failures, and why


UNREACHABLE = Row("502", 502, "upstream_unreachable", NEXT, "provider unreachable")
BROKE_OFF = Row("502;502", 502, "upstream_unreachable", NEXT, "offer unreachable")
FAILED = Row("502", 502, "upstream_error", NEXT, "offer server")
REPEATED = Row("500;500", 502, "upstream_error", NEXT, "offer server")
TIMED_OUT = Row("504", 504, "upstream_timeout", NEXT, "offer timeout")
OVERLOADED = Row("503", 503, "upstream_overloaded", NEXT, "offer overloaded")
NO_MONEY = Row("402", 502, "provider_misconfigured", SKIPPED, "key credit")


def wrong(status: int, code: str = AS_IT_CAME) -> Row:
    return Row(str(status), status, code, FINAL, "")


def failed(status: int) -> Row:
    return FAILED._replace(attempts=str(status))


BEFORE: dict[str, Row] = {
    # The way there.
    "refused": UNREACHABLE,
    "no such name": UNREACHABLE,
    "a name that is none": UNREACHABLE,
    "a certificate of its own": UNREACHABLE,
    "no TLS there": UNREACHABLE,
    "reset before a byte": BROKE_OFF,
    "closed before a byte": BROKE_OFF,
    "reset in the head": BROKE_OFF,
    "not HTTP": FAILED,
    "no first byte": TIMED_OUT,
    # Statuses.
    "invalid": wrong(400),
    "too large": wrong(413),
    "content filter": wrong(400),
    "context length": wrong(400),  # the other window is no larger
    "418 with a page": wrong(418, "invalid_parameter")._replace(status=400),
    "422 with a page": wrong(422, "invalid_parameter")._replace(status=400),
    "invalid key": Row("401", 502, "provider_misconfigured", SKIPPED, "key auth"),
    "403 with a page": Row("403", 502, "provider_misconfigured", NEXT, "offer_key auth"),
    "no credit": NO_MONEY,
    "402 with a page": NO_MONEY,
    "not found": Row("404", 404, AS_IT_CAME, NEXT, "offer not_found"),
    "408 with a page": TIMED_OUT._replace(attempts="408"),
    "409 with a page": failed(409)._replace(blamed=""),
    "rate limited": Row("429", 429, "upstream_rate_limited", NEXT, "offer_key rate_limited"),
    "server": REPEATED,
    "500 with a page": REPEATED,
    "500 in Latin-1": REPEATED,
    "500 without a body": REPEATED,
    "501 with a page": failed(501),
    "502 with a page": failed(502),
    "overloaded": OVERLOADED,
    "503 with a page": OVERLOADED,
    "503 that breaks off": OVERLOADED,
    "504 with a page": TIMED_OUT,
    "520 with a page": failed(520),
    "529 with a page": OVERLOADED._replace(attempts="529"),
    "599 with a page": failed(599),
    "a redirect": failed(307),
    # A 200 that is none.
    "reset after the head": FAILED,
    "reset in the body": FAILED,
    "closed in the body": FAILED,
    "silence after the head": TIMED_OUT,
    "silence in the body": TIMED_OUT,
    "half an answer, well framed": FAILED,
    "an empty body": FAILED,
    "a page": FAILED,
    "compressed": FAILED,
    "an error inside a 200": FAILED,
    "an overload inside a 200": FAILED,  # OpenAI has no word for it but the status
    "an answer without content": FAILED,
    # A stream that is none.
    "no event at all": FAILED,
    "ended before content": FAILED,
    "closed in the first frame": FAILED,
    "silence before content": TIMED_OUT,
    "only comments, for ever": TIMED_OUT,
    "garbled first frame": FAILED,
    "no UTF-8": FAILED,
    "an endless line": FAILED,
    "an error event first": FAILED,
    "an overload event first": FAILED,
}
# Where Anthropic says it otherwise.
ANTHROPIC: dict[str, Row] = {
    "overloaded": OVERLOADED._replace(attempts="529"),
    "an overload inside a 200": OVERLOADED,
    "an overload event first": OVERLOADED,
}
OPENAI: dict[str, Row] = {"no credit": NO_MONEY._replace(attempts="429")}

# The error event's code, and what is out of service after three of them.
AFTER: dict[str, tuple[str, str]] = {
    "reset": ("upstream_error", "offer server"),
    "closed in a frame": ("upstream_error", "offer server"),
    "idle gap": ("upstream_timeout", "offer timeout"),
    "ended in the middle": ("upstream_error", "offer server"),
    "no end marker": ("upstream_error", "offer server"),
    "ended by its close": ("upstream_error", "offer server"),
    "garbled frame": ("upstream_error", "offer server"),
    "no UTF-8": ("upstream_error", "offer server"),
    "an endless line": ("upstream_error", "offer server"),
    "an error event": ("upstream_error", "offer server"),
    "an overload event": ("upstream_error", "offer server"),
    "a rate limit event": ("upstream_rate_limited", "offer_key rate_limited"),
    "broken chunks": ("upstream_error", "offer server"),
}
AFTER_OF_ANTHROPIC = {"an overload event": ("upstream_overloaded", "offer overloaded")}

# A 429's Retry-After: whether it is waited for where nobody else is left, what the client is told,
# and whether the offer rests meanwhile.
RETRY_AFTER: dict[str, tuple[str, str, bool]] = {
    "none": ("429", "1", False),
    "0": ("429;429", "1", False),
    "a float": ("429;429", "1", True),
    "a date gone by": ("429;429", "1", False),
    "negative": ("429;429", "1", False),
    "eleven seconds": ("429", "11", True),
    "a day": ("429", "3600", True),
    "a date in 2099": ("429", "3600", True),
    "absurd": ("429", "3600", True),
    "no number": ("429", "1", False),
    "garbage": ("429", "1", False),
    "a year of twenty digits": ("429", "1", False),
    "an offset of twenty digits": ("429", "1", False),
    "bytes of no charset": ("429", "1", False),
}

PROTOCOLS: tuple[Protocol, ...] = ("openai", "anthropic")
FORMS: tuple[Form, ...] = ("whole", "stream")


def made(addresses: dict[str, str]) -> Iterator[Case]:
    """Every row in both protocols; what concerns an answer in its form, silence in both."""
    for protocol in PROTOCOLS:
        dialect = DIALECTS[protocol]
        # The way there and a status come before any stream: one form of each will do.
        of_status: Form = "whole" if protocol == "openai" else "stream"
        for form in FORMS:
            scripts = faults.silent()
            scripts |= faults.whole(dialect) if form == "whole" else faults.streamed(dialect)
            scripts |= faults.refusals(dialect) if form == of_status else {}
            yield from (Case(name, protocol, form, script) for name, script in scripts.items())
        yield from (Case(name, protocol, of_status, url=url) for name, url in addresses.items())
        later = faults.later(dialect)
        yield from (
            Case(f"later: {name}", protocol, "stream", each) for name, each in later.items()
        )


@pytest.fixture(scope="module")
def stories(
    shared_stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, Protocol, Form], Story]]:
    """Every case, all at once; what is slow about most of them is waiting."""
    folder = tmp_path_factory.mktemp("faults")
    with (
        Upstream() as upstream,
        faults.addresses(folder) as addresses,
        valkey_server.running() as valkey,
    ):
        cases = list(made(addresses))
        path = folder / "faults.yaml"
        path.write_text(json.dumps(faulting.document(cases, upstream.url)))
        shared_stack.manage("catalog", "import", str(path))
        faulting.script(upstream, cases)
        web = shared_stack.web(
            REDIS_URL=valkey.url, CCAPI_BREAKER_FAILURES=str(FAILURES), CCAPI_LOG_LEVEL="critical"
        )
        try:
            with (
                shared_stack.http(shared_stack.account(), web) as client,
                valkey.client() as state,
                ThreadPoolExecutor(WORKERS) as pool,
            ):
                told = pool.map(Stage(client, state).run, cases)
                yield {
                    (case.fault, case.protocol, case.form): story
                    for case, story in zip(cases, told, strict=True)
                }
        finally:
            web.stop()


Stories = dict[tuple[str, Protocol, Form], Story]


def both_forms(stories: Stories, fault: str, protocol: Protocol) -> list[tuple[Form, Story]]:
    found = [
        (form, stories[fault, protocol, form])
        for form in FORMS
        if (fault, protocol, form) in stories
    ]
    assert found, "a row without a case"
    return found


def test_every_case_has_its_row(stories: Stories) -> None:
    rows = {*BEFORE, *(f"later: {name}" for name in AFTER)}
    rows |= {f"429, Retry-After: {form}" for form in RETRY_AFTER}

    assert {fault for fault, _, _ in stories} == rows


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("fault", BEFORE)
def test_before_content(stories: Stories, fault: str, protocol: Protocol) -> None:
    row = (ANTHROPIC if protocol == "anthropic" else OPENAI).get(fault, BEFORE[fault])
    told = CONVENTION[protocol].get(row.status, row.status)

    for form, story in both_forms(stories, fault, protocol):
        alone, followed = story.alone, story.followed

        assert (alone.attempts, alone.status, alone.code) == (row.attempts, told, row.code)
        assert (alone.ending, alone.text, story.bills[0]) == ("whole", "", "voided 0")
        assert bool(alone.retry_after) == (row.status in (429, 503))
        assert story.blamed == row.blamed
        if row.then == FINAL:
            assert followed[:4] == alone[:4]
            assert story.bills[1] == "voided 0"
        else:
            first = "skipped" if row.then == SKIPPED else row.attempts.partition(";")[0]
            assert (followed.attempts, followed.text) == (f"{first};200", "from the second")
            assert followed.ending == ("whole" if form == "whole" else "complete")
            # Failed attempts are free: the answer costs what it would have cost at once.
            assert story.bills[1] == f"captured {FALLBACK_COST}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("fault", AFTER)
def test_after_content(stories: Stories, fault: str, protocol: Protocol) -> None:
    code, blamed = AFTER[fault]
    if protocol == "anthropic":
        code, blamed = AFTER_OF_ANTHROPIC.get(fault, (code, blamed))
    story = stories[f"later: {fault}", protocol, "stream"]
    text = "one two three four" if fault == "no end marker" else "one two"

    for seen, bill in zip((story.alone, story.followed), story.bills, strict=True):
        # There is no way back: nobody else is asked, and the client knows that it is not all.
        assert (seen.status, seen.attempts) == (200, "200")
        assert (seen.ending, seen.code, seen.text) == ("error event", code, text)
        outcome, cost = bill.split(" ")
        assert outcome == "partial"
        assert 0 < float(cost) <= float(FALLBACK_COST)
    assert story.blamed == blamed


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("form", RETRY_AFTER)
def test_retry_after_of_a_429(stories: Stories, form: str, protocol: Protocol) -> None:
    attempts, told, rests = RETRY_AFTER[form]

    for _, story in both_forms(stories, f"429, Retry-After: {form}", protocol):
        alone, followed = story.alone, story.followed

        assert (alone.status, alone.code) == (429, "upstream_rate_limited")
        assert (alone.attempts, alone.retry_after) == (attempts, told)
        assert story.blamed == "offer_key rate_limited" + " rest" * rests
        first = "skipped" if rests else "429"
        assert (followed.attempts, followed.text) == (f"{first};200", "from the second")
        assert story.bills == ("voided 0", f"captured {FALLBACK_COST}")


NAMES: dict[Protocol, tuple[str, str]] = {
    "openai": ("alpha/one", "gamma/one"),
    "anthropic": ("beta/one", "delta/one"),
}


@pytest.mark.parametrize("client_protocol", PROTOCOLS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_cut_at_any_event_and_in_any_frame_never_looks_complete(
    stack: Stack, upstream: Upstream, protocol: Protocol, client_protocol: Protocol
) -> None:
    (model, _), (_, fallback) = NAMES[protocol], NAMES[OTHER[protocol]]
    said = transcripts.answer("from the second")
    upstream.on(
        fallback.replace("/", "-"), stream(transcripts.frames(DIALECTS[OTHER[protocol]], said))
    )
    wrongs = []

    with stack.http(stack.account()) as client:
        stage = Stage(client, None)
        for cut in faults.cuts(DIALECTS[protocol]):
            upstream.on(model.replace("/", "-"), cut.script)
            seen = stage.ask(client_protocol, "stream", model, fallback)
            bill = stage.bill(seen)
            if cut.has_begun:
                got = (seen.attempts, seen.ending, seen.text, bill.split(" ")[0])
                expected = ("200", "error event", cut.text, "partial")
            else:
                got = (seen.attempts, seen.ending, seen.text, bill)
                cost = f"captured {FALLBACK_COST}"
                expected = ("502;200", "complete", "from the second", cost)
            if got != expected:
                wrongs.append((cut.where, got, expected))

    assert wrongs == []


# What the usage says: the outcome, where the figures come from, and the cost of the answer.
USAGE: dict[str, tuple[str, str]] = {
    "none": ("estimated", "tokenizer"),
    "negative": ("estimated", "tokenizer"),
    "negative output": ("estimated", "tokenizer"),
    "absurd": ("estimated", "tokenizer"),
    "beyond 64 bits": ("estimated", "tokenizer"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("said", USAGE)
def test_odd_usage(
    stack: Stack, upstream: Upstream, said: str, protocol: Protocol, form: Form
) -> None:
    model = NAMES[protocol][0]
    script = faults.usages(DIALECTS[protocol])[said][FORMS.index(form)]
    upstream.on(model.replace("/", "-"), script)

    with stack.http(stack.account()) as client:
        stage = Stage(client, None)
        seen = stage.ask(protocol, form, model)
        receipt = stage.receipt(seen)

    assert (seen.status, seen.text) == (200, "one two three four")
    assert (receipt["outcome"], receipt["usage_source"]) == USAGE[said]
    # Never above what was held: at most 50 tokens of answer, and the bytes of the prompt.
    assert 0 < float(receipt["cost"]) < 0.002


def test_a_provider_that_flaps_is_never_seen_by_its_customers(
    stack: Stack, upstream: Upstream
) -> None:
    good = transcripts.body(DIALECTS["openai"], transcripts.answer("Hello."))
    bad: list[Script] = [
        reply(500),
        reply(503),
        reply(body=good, cut_after=9),
        *faults.silent().values(),
    ]
    flapping = [each for fault in bad for each in (reply(body=good), fault)]
    upstream.on("alpha-one", *flapping, reply(body=good))
    upstream.on("gamma-one", reply(body=good))
    account = stack.account()

    with stack.http(account) as client:
        body = {
            "models": ["alpha/one", "gamma/one"],
            "messages": [{"role": "user", "content": "Hi"}],
        }
        answers = [client.post(PATHS["openai"], json=body) for _ in range(2 * len(bad))]

    assert {answer.status_code for answer in answers} == {200}
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000 - len(answers) * 20_000, 0)
