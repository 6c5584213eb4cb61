"""Every answer of every upstream protocol, read by the SDK of every client protocol."""

import json

import pytest
from anthropic.types.beta import BetaMessage
from google.genai import types as gemini_types
from openai.types.chat import ChatCompletion
from openai.types.responses import Response as OpenAIResponse

from ccapi.core.errors import (
    ContextLengthExceeded,
    GatewayError,
    InvalidParameter,
    ModelNotFound,
    RequestTooLarge,
    Unauthorized,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from gateway.ir.events import (
    Completed,
    Event,
    Failed,
    Started,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from gateway.ir.failure import FailureKind
from gateway.ir.request import ToolCall
from gateway.protocols.registry import CODECS
from tests.matrix.answers import ANSWERS, USAGE, expected
from tests.matrix.passage import (
    NAMES,
    PAIRS,
    Loose,
    events_from,
    events_of,
    frames,
    through,
    through_stream,
    told,
    written,
)
from tests.matrix.readers import STREAMED, WHOLE, Answer, Counted, agree, same_for

each_scenario = pytest.mark.parametrize("scenario", ANSWERS)
each_client = pytest.mark.parametrize("client", NAMES)
each_upstream = pytest.mark.parametrize("upstream", NAMES)
each_pair = pytest.mark.parametrize(("client", "upstream"), PAIRS)
STRICT: dict[str, Loose] = {
    "openai": ChatCompletion,
    "openai_responses": OpenAIResponse,
    "anthropic": BetaMessage,
    "gemini": gemini_types.GenerateContentResponse,
}


def test_every_protocol_is_read_by_its_sdk() -> None:
    assert WHOLE.keys() == STREAMED.keys() == CODECS.keys()
    # Ollama's SDK reads strictly by itself.
    assert STRICT.keys() | {"ollama"} == CODECS.keys()


@each_client
@each_scenario
def test_an_answer_of_ours_reads_the_same_whole_and_streamed(client: str, scenario: str) -> None:
    response = ANSWERS[scenario]
    wanted = same_for(client, expected(response))

    agree(WHOLE[client](told(client, response)), wanted)
    agree(STREAMED[client](written(client, events_from(response))), wanted)


@pytest.mark.parametrize("client", STRICT)
@each_scenario
def test_a_whole_answer_of_ours_is_valid_by_the_strict_types_of_the_sdk(
    client: str, scenario: str
) -> None:
    STRICT[client].model_validate(_without_costs(json.loads(told(client, ANSWERS[scenario]))))


def _without_costs(body: Loose) -> Loose:
    """Gemini's types forbid what they do not know; ours are the documented additions."""
    for name in ("input_cost", "output_cost", "cost"):
        body.get("usageMetadata", {}).pop(name, None)
    return body


@each_upstream
@each_scenario
def test_a_whole_answer_reads_the_same_for_every_client(upstream: str, scenario: str) -> None:
    body = told(upstream, ANSWERS[scenario])
    original = WHOLE[upstream](body)

    for client in NAMES:
        agree(WHOLE[client](through(client, upstream, body)), same_for(client, original))


@each_upstream
@each_scenario
def test_a_streamed_answer_reads_the_same_for_every_client(upstream: str, scenario: str) -> None:
    data = written(upstream, events_from(ANSWERS[scenario]))
    original = STREAMED[upstream](data)

    for client in NAMES:
        agree(STREAMED[client](through_stream(client, upstream, data)), same_for(client, original))


@each_client
def test_text_arguments_stay_byte_exact_where_a_protocol_has_text(client: str) -> None:
    for response in ANSWERS.values():
        calls = [part for part in response.choices[0].parts if isinstance(part, ToolCall)]
        data = written(client, events_from(response))

        happened = events_of(CODECS[client], data)

        for made in calls:
            text = "".join(
                event.arguments
                for event in happened
                if isinstance(event, ToolCallDelta) and event.index == made.index
            )
            # Where a protocol has an object, line ends between its tokens may go.
            same = text == made.arguments
            has_objects = client in ("ollama", "gemini")
            assert same or (has_objects and json.loads(text) == json.loads(made.arguments))


INTERLEAVED: list[Event] = [
    Started(id="a", model="up"),
    ToolCallStarted(index=0, id="c0", name="look"),
    ToolCallStarted(index=1, id="c1", name="hear"),
    ToolCallDelta(index=0, arguments='{"at"'),
    ToolCallDelta(index=1, arguments='{"it'),
    ToolCallDelta(index=0, arguments=": 1}"),
    ToolCallDelta(index=1, arguments="'s\": 2}"),
    Stopped(reason="tool_calls"),
    UsageReported(usage=USAGE),
    Completed(),
]


@each_client
def test_calls_that_interleave_reach_every_client_each_with_its_own_arguments(client: str) -> None:
    answer = STREAMED[client](written(client, INTERLEAVED))

    assert answer.calls == (("look", '{"at": 1}'), ("hear", '{"it\'s": 2}'))


@each_pair
def test_an_error_inside_a_stream_reaches_the_client_as_its_own_and_without_an_end(
    client: str, upstream: str
) -> None:
    started: list[Event] = [Started(id="a", model="up"), TextDelta(text="Once upon ")]
    data = written(upstream, [*started, Failed(kind="overloaded", message="Too many.")])

    happened = events_of(CODECS[upstream], data)
    out = through_stream(client, upstream, data)

    assert isinstance(happened[-1], Failed)
    assert happened[-1].message == "Too many."
    answer = STREAMED[client](out)
    assert answer.text == "Once upon "
    assert "Too many." in answer.error
    assert not any(isinstance(event, Completed) for event in events_of(CODECS[client], out))


@each_client
def test_a_stream_that_breaks_off_is_complete_for_no_client(client: str) -> None:
    codec = CODECS[client]
    data = written(client, events_from(ANSWERS["text"]))
    whole = [frame for frame in frames(codec, data) if frame.data]

    broken = b"".join(frame.raw for frame in whole[: len(whole) // 2])

    decoder = codec.stream_decoder()
    parsed = frames(codec, broken)[:-1]  # the connection broke: nobody says that the body ended
    happened = [event for frame in parsed for event in decoder.decode(frame)]
    assert not any(isinstance(event, Completed) for event in happened)


FAILURES: dict[FailureKind, GatewayError] = {
    "rate_limited": UpstreamRateLimited("Slow down, it's full.", retry_after=3),
    "overloaded": UpstreamOverloaded("Too many."),
    "server": UpstreamFailed("It broke."),
    "timeout": UpstreamTimeout("It took too long."),
    "auth": Unauthorized("No such key."),
    "not_found": ModelNotFound("No such model."),
    "too_large": RequestTooLarge("Too much."),
    "context_length": ContextLengthExceeded("The prompt is too long: 9 tokens > 8 maximum."),
    "invalid": InvalidParameter("'seed' must be a number.", param="seed"),
}


# Codes that a protocol does not have: its clients are told the nearest.
NEAREST: dict[tuple[str, FailureKind], FailureKind] = {
    ("gemini", "server"): "overloaded",
    ("gemini", "context_length"): "invalid",
    ("ollama", "context_length"): "invalid",
}


@each_client
@pytest.mark.parametrize("kind", FAILURES)
def test_an_error_before_an_answer_keeps_its_kind_and_words(client: str, kind: FailureKind) -> None:
    codec, error = CODECS[client], FAILURES[kind]

    body = codec.encode_error(error, "req_1")

    failure = codec.decode_error(codec.error_status(error), {}, body)
    assert failure.kind == NEAREST.get((client, kind), kind)
    assert failure.message == error.message


def test_counts_are_told_in_each_protocols_own_convention() -> None:
    body = {name: json.loads(told(name, ANSWERS["cached and reasoned"])) for name in NAMES}

    # 100 read, 40 of a cache, 20 written to one; 30 written, 25 thought.
    assert body["openai"]["usage"]["prompt_tokens"] == 160
    assert body["openai"]["usage"]["completion_tokens"] == 55
    assert body["openai_responses"]["usage"]["input_tokens"] == 160
    assert body["openai_responses"]["usage"]["output_tokens"] == 55
    assert body["anthropic"]["usage"]["input_tokens"] == 100
    assert body["anthropic"]["usage"]["output_tokens"] == 55
    assert body["gemini"]["usageMetadata"]["promptTokenCount"] == 160
    assert body["gemini"]["usageMetadata"]["candidatesTokenCount"] == 30
    assert body["gemini"]["usageMetadata"]["thoughtsTokenCount"] == 25
    assert (body["ollama"]["prompt_eval_count"], body["ollama"]["eval_count"]) == (160, 55)


def test_answers_agree_only_where_they_say_the_same() -> None:
    said = Answer(text="a", counted=Counted(1, 2, 3))

    agree(said, said._replace(counted=Counted(1, 2, None)))
    for other in (said._replace(text="b"), said._replace(counted=Counted(1, 2, 4))):
        with pytest.raises(AssertionError):
            agree(said, other)
