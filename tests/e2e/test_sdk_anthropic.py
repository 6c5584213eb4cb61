"""The official Anthropic SDK as the client, providers of both protocols behind."""

import anthropic
import pytest

from gateway.sandbox.dialect import Dialect
from tests.e2e.stack import Account, Stack
from tests.fakes import transcripts
from tests.fakes.steps import reply, stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI
from tests.fakes.upstream import Upstream

SAY_HI: list[anthropic.types.MessageParam] = [{"role": "user", "content": "Say hi."}]
TOOL: anthropic.types.ToolParam = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
PROVIDERS = [("beta/one", ANTHROPIC), ("alpha/one", OPENAI)]


@pytest.mark.parametrize(("model", "dialect"), PROVIDERS)
def test_a_whole_answer_with_its_costs(
    stack: Stack, upstream: Upstream, account: Account, model: str, dialect: Dialect
) -> None:
    said = transcripts.answer("hi there", usage=(10, 5))
    upstream.on(model.replace("/", "-"), reply(body=transcripts.body(dialect, said)))

    message = stack.anthropic(account).messages.create(model=model, max_tokens=100, messages=SAY_HI)

    assert message.content[0].text == "hi there"  # type: ignore[union-attr]  # text was said
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (10, 5)
    assert (message.usage.model_extra or {})["cost"] == 0.00002
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000 - 20_000, 0)


@pytest.mark.parametrize(("model", "dialect"), PROVIDERS)
def test_a_stream_of_text_accumulates_to_the_same_message(
    stack: Stack, upstream: Upstream, account: Account, model: str, dialect: Dialect
) -> None:
    said = transcripts.answer("one two three", usage=(7, 3))
    upstream.on(model.replace("/", "-"), stream(transcripts.frames(dialect, said)))

    with stack.anthropic(account).messages.stream(
        model=model, max_tokens=100, messages=SAY_HI
    ) as events:
        text = "".join(events.text_stream)
        message = events.get_final_message()

    assert text == "one two three"
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == 3
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000 - 13_000, 0)


@pytest.mark.parametrize(("model", "dialect"), PROVIDERS)
def test_parallel_tool_calls_stream_into_separate_blocks(
    stack: Stack, upstream: Upstream, account: Account, model: str, dialect: Dialect
) -> None:
    said = transcripts.answer(
        calls=[("weather", '{"city": "Xi\'an"}'), ("weather", '{"city": "Bonn"}')]
    )
    upstream.on(model.replace("/", "-"), stream(transcripts.frames(dialect, said)))

    with stack.anthropic(account).messages.stream(
        model=model, max_tokens=100, messages=SAY_HI, tools=[TOOL]
    ) as events:
        message = events.get_final_message()

    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"city": "Xi'an"}, {"city": "Bonn"}]
    assert message.stop_reason == "tool_use"


def test_reasoning_with_its_signature_passes_untouched_between_anthropics(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    said = transcripts.answer("42", reasoning="Deep thought.")
    upstream.on("beta-one", stream(transcripts.frames(ANTHROPIC, said)))

    with stack.anthropic(account).messages.stream(
        model="beta/one",
        max_tokens=2000,
        messages=SAY_HI,
        thinking={"type": "enabled", "budget_tokens": 1024},
    ) as events:
        message = events.get_final_message()

    thinking = message.content[0]
    assert thinking.type == "thinking"
    assert thinking.thinking == "Deep thought."
    assert thinking.signature


def test_errors_arrive_in_the_protocols_own_shape_and_status(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    status, body = transcripts.error(ANTHROPIC, "overloaded")
    upstream.on("beta-one", reply(status, body))
    client = stack.anthropic(account)

    with pytest.raises(anthropic.InternalServerError) as overloaded:
        client.messages.create(model="beta/one", max_tokens=10, messages=SAY_HI)
    with pytest.raises(anthropic.BadRequestError) as wrong:
        client.messages.create(
            model="beta/one",
            max_tokens=10,
            messages=[{"role": "user", "content": [{"text": "no type"}]}],  # type: ignore[list-item,misc]  # the very fault
        )
    with pytest.raises(anthropic.AuthenticationError):
        stack.anthropic(Account("org", "nonsense")).messages.create(
            model="beta/one", max_tokens=10, messages=SAY_HI
        )

    assert overloaded.value.status_code == 529
    assert overloaded.value.body["error"]["type"] == "overloaded_error"  # type: ignore[index]
    assert "messages.0.content.0.type" in str(wrong.value)
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000, 0)
