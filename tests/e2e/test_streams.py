"""Stream integrity: a stream that broke never looks complete.

In either protocol, and is charged as published.
"""

from decimal import Decimal

import anthropic
import openai
import pytest
from anthropic.types import MessageParam
from openai.types.chat import ChatCompletionMessageParam

from gateway.sandbox.dialect import Dialect
from tests.e2e.stack import Account, Stack
from tests.fakes import transcripts
from tests.fakes.steps import RESET, SILENCE, Script, stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI
from tests.fakes.upstream import Upstream

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Count to four."}]
SAME: list[MessageParam] = [{"role": "user", "content": "Count to four."}]
TEXT = "one two three four"


def broken(dialect: Dialect) -> dict[str, Script]:
    """Streams that break after some content, by what goes wrong."""
    said = transcripts.answer(TEXT)
    frames = transcripts.staged(dialect, said)
    before_end = [frame.data for frame in frames if frame.stage != "end"]
    contents = [index for index, frame in enumerate(frames) if frame.stage == "content"]
    some = [frame.data for frame in frames[: contents[1] + 1]]
    size = sum(map(len, some))
    return {
        "cut inside a frame": stream([*some, before_end[-1]], cut_after=size + 9),
        "reset": stream([*some, b"x"], cut_after=size, ending=RESET),
        "clean end without the end marker": stream(before_end),
        "clean end in the middle": stream(some),
        "silence": stream([*some, b"x"], cut_after=size, ending=SILENCE),
        "garbage": stream([*some, b"data: {garbage\n\n", *before_end]),
        "an endless line": stream([*some, b"data: " + b"x" * 1_100_000]),
        "an error event": stream([*some, transcripts.error_frame(dialect, "overloaded")]),
    }


CASES = list(broken(OPENAI))


@pytest.mark.parametrize("model", ["alpha/one", "beta/one"])
@pytest.mark.parametrize("case", CASES)
def test_an_openai_client_sees_an_error_and_no_done(
    stack: Stack, upstream: Upstream, account: Account, case: str, model: str
) -> None:
    dialect = OPENAI if model == "alpha/one" else ANTHROPIC
    upstream.on(model.replace("/", "-"), broken(dialect)[case])
    seen: list[str] = []

    with stack.http(account) as client:
        answer = client.post(
            "/v1/chat/completions", json={"model": model, "messages": MESSAGES, "stream": True}
        )
    chunks = stack.openai(account).chat.completions.create(
        model=model,
        messages=MESSAGES,
        stream=True,
    )
    texts = (chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    with pytest.raises(openai.APIError):
        seen.extend(texts)

    assert answer.status_code == 200
    assert "[DONE]" not in answer.text
    assert '"finish_reason":"stop"' not in answer.text or "marker" in case
    assert '"error"' in answer.text
    assert "".join(seen).startswith("one")
    assert TEXT.startswith("".join(seen))
    # The first count starts the tokenizer's process, which may take longer than a receipt waits.
    stack.wait_for_no_holds()
    receipt = stack.generation(account, answer.headers["x-ccapi-generation-id"])
    assert receipt["status"] in ("upstream_error", "timeout")
    assert Decimal(receipt["cost"]) > 0


@pytest.mark.parametrize("model", ["alpha/one", "beta/one"])
@pytest.mark.parametrize("case", CASES)
def test_an_anthropic_client_sees_an_error_event_and_no_message_stop(
    stack: Stack, upstream: Upstream, account: Account, case: str, model: str
) -> None:
    dialect = OPENAI if model == "alpha/one" else ANTHROPIC
    upstream.on(model.replace("/", "-"), broken(dialect)[case])
    body = {"model": model, "messages": MESSAGES, "stream": True, "max_tokens": 50}

    with stack.http(account) as client:
        answer = client.post("/v1/messages", json=body)
    with (
        pytest.raises(anthropic.APIError),
        stack.anthropic(account).messages.stream(
            model=model,
            messages=SAME,
            max_tokens=50,
        ) as events,
    ):
        events.get_final_message()

    assert "event: error" in answer.text
    assert "message_stop" not in answer.text
    assert 'stop_reason":"end_turn' not in answer.text


def test_what_was_delivered_of_a_broken_stream_is_counted_and_flagged(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-one", broken(OPENAI)["clean end in the middle"])

    with stack.http(account) as client:
        answer = client.post(
            "/v1/chat/completions",
            json={"model": "alpha/one", "messages": MESSAGES, "stream": True},
        )
    stack.wait_for_no_holds()
    receipt = stack.generation(account, answer.headers["x-ccapi-generation-id"])

    # "one two" is two tokens of every vocabulary; the prompt is counted too.
    assert receipt["usage_source"] == "tokenizer"
    assert receipt["usage"]["output_tokens"] == 2
    assert receipt["output_cost"] == "0.000004"
    stack.wait_for_no_holds()
    assert stack.balance(account)[1] == 0


def test_a_stream_without_usage_is_counted_and_says_so(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    said = transcripts.answer(TEXT, usage=None)
    upstream.on("alpha-one", stream(transcripts.frames(OPENAI, said)))

    chunks = list(
        stack.openai(account).chat.completions.create(
            model="alpha/one",
            messages=MESSAGES,
            stream=True,
        )
    )

    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens == 4
    assert (usage.model_extra or {})["cost"] > 0


@pytest.mark.parametrize(
    ("model", "status", "charged"),
    [("alpha/one", "client_cancelled", True), ("drains/one", "client_cancelled", True)],
)
def test_a_client_that_leaves_pays_by_the_providers_policy(
    stack: Stack, upstream: Upstream, account: Account, model: str, status: str, charged: bool
) -> None:
    said = transcripts.answer(" ".join(["word"] * 40), usage=(10, 40))
    upstream.on(model.replace("/", "-"), stream(transcripts.frames(OPENAI, said), pace=0.05))

    chunks = stack.openai(account).chat.completions.create(
        model=model,
        messages=MESSAGES,
        stream=True,
    )
    for _ in range(5):
        next(chunks)
    generation = chunks.response.headers["x-ccapi-generation-id"]
    chunks.close()
    stack.wait_for_no_holds()
    receipt = stack.generation(account, generation)

    assert receipt["status"] == status
    if model == "drains/one":
        # This provider bills to the end, so the gateway reads to the end.
        assert receipt["usage"]["output_tokens"] == 40
        assert receipt["usage_source"] == "provider"
        assert upstream.hangups == 0
    else:
        assert 0 < receipt["usage"]["output_tokens"] < 40
        assert upstream.hangups == 1


@pytest.mark.parametrize("crlf", [False, True])
@pytest.mark.parametrize("piece", [1, 7])
def test_frames_cut_anywhere_read_the_same(
    stack: Stack, upstream: Upstream, account: Account, crlf: bool, piece: int
) -> None:
    said = transcripts.answer("héllo wörld ✓", calls=[("weather", '{"city": "Köln"}')])
    frames = transcripts.frames(OPENAI, said)
    upstream.on("alpha-one", stream(frames, crlf=crlf, piece_bytes=piece))

    with stack.openai(account).chat.completions.stream(
        model="alpha/one",
        messages=MESSAGES,
    ) as events:
        completion = events.get_final_completion()

    message = completion.choices[0].message
    assert message.content == "héllo wörld ✓"
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == '{"city": "Köln"}'
