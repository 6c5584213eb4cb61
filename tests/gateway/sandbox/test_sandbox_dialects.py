"""The sandbox's Gemini, Ollama and Responses, as their official SDKs read them."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import ollama
import openai
import pytest
from google import genai
from google.genai import errors as gemini_errors
from google.genai import types as gemini

from tests.fakes.sandbox import sandbox

TEXT = "Hello there,  world"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
CALL = 'call weather {"city": "L\'Aquila"}'


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with sandbox() as url:
        yield url


@pytest.fixture(scope="module")
def google(url: str) -> Iterator[genai.Client]:
    options = gemini.HttpOptions(base_url=url, retry_options=gemini.HttpRetryOptions(attempts=1))
    client = genai.Client(api_key="any", http_options=options)
    yield client
    client.close()


@pytest.fixture(scope="module")
def local(url: str) -> ollama.Client:
    return ollama.Client(host=url)


@pytest.fixture(scope="module")
def responses(url: str) -> Any:  # noqa: ANN401 — the SDK's own
    return openai.OpenAI(api_key="any", base_url=f"{url}/v1", max_retries=0).responses


# Gemini


def test_gemini_answers_whole_and_streamed(google: genai.Client) -> None:
    whole = google.models.generate_content(model="echo", contents=TEXT)
    chunks = list(google.models.generate_content_stream(model="echo", contents=TEXT))

    assert whole.text == TEXT
    assert [chunk.text for chunk in chunks[:-1]] == ["Hello", " there,", "  world"]
    for last in (whole, chunks[-1]):
        assert last.candidates
        assert last.candidates[0].finish_reason == "STOP"
        assert last.usage_metadata is not None
        assert last.usage_metadata.prompt_token_count == 3
        assert last.usage_metadata.candidates_token_count == 3


def test_gemini_calls_tools_and_echoes_their_results(google: genai.Client) -> None:
    declared = gemini.FunctionDeclaration(name="weather", parameters_json_schema=PARAMETERS)
    config = gemini.GenerateContentConfig(tools=[gemini.Tool(function_declarations=[declared])])

    asked = google.models.generate_content(model="echo", contents=CALL, config=config)
    made = (asked.function_calls or [])[0]
    turns: Any = [
        gemini.UserContent(CALL),
        asked.candidates[0].content if asked.candidates else None,
        gemini.UserContent(
            gemini.Part.from_function_response(name="weather", response={"output": "sunny"})
        ),
    ]
    answered = google.models.generate_content(model="echo", contents=turns, config=config)

    assert (made.name, made.args) == ("weather", {"city": "L'Aquila"})
    assert answered.text == "sunny"


def test_gemini_thinks_and_knows_its_thoughts_again(google: genai.Client) -> None:
    config = gemini.GenerateContentConfig(
        thinking_config=gemini.ThinkingConfig(include_thoughts=True)
    )
    first = google.models.generate_content(model="reasoning", contents=TEXT, config=config)
    assert first.candidates
    content = first.candidates[0].content
    assert content is not None
    assert content.parts
    history: Any = [gemini.UserContent(TEXT), content, gemini.UserContent("And?")]
    second = google.models.generate_content(model="reasoning", contents=history)
    content.parts[0].thought_signature = b"another"

    assert content.parts[0].thought
    assert second.text == "And?"
    with pytest.raises(gemini_errors.ClientError, match="signature"):
        google.models.generate_content(model="reasoning", contents=history)


@pytest.mark.parametrize(
    ("model", "code", "status"),
    [
        ("server-error", 500, "INTERNAL"),
        ("server-error:503", 503, "UNAVAILABLE"),
        ("rate-limited:7", 429, "RESOURCE_EXHAUSTED"),
        ("overloaded", 503, "UNAVAILABLE"),
        ("invalid-key", 400, "INVALID_ARGUMENT"),
        ("not-found", 404, "NOT_FOUND"),
        ("context-length:1", 400, "INVALID_ARGUMENT"),
        ("no such model", 404, "NOT_FOUND"),
    ],
)
def test_gemini_fails_as_google_does(
    google: genai.Client, model: str, code: int, status: str
) -> None:
    for ask in (google.models.generate_content, google.models.generate_content_stream):
        with pytest.raises(gemini_errors.APIError) as failed:
            list(ask(model=model, contents=TEXT))
        assert (failed.value.code, failed.value.status) == (code, status)


def test_gemini_refuses_a_prompt_with_an_answer_of_no_candidates(google: genai.Client) -> None:
    whole = google.models.generate_content(model="content-filter", contents=TEXT)
    (chunk,) = google.models.generate_content_stream(model="content-filter", contents=TEXT)

    for told in (whole, chunk):
        assert not told.candidates
        assert told.prompt_feedback is not None
        assert told.prompt_feedback.block_reason == "PROHIBITED_CONTENT"


def test_a_stream_without_its_last_chunk_has_no_finish_reason(google: genai.Client) -> None:
    chunks = list(google.models.generate_content_stream(model="no-end-marker", contents=TEXT))

    assert "".join(chunk.text or "" for chunk in chunks) == TEXT
    assert not any(chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates)


# Ollama


def test_ollama_streams_unless_told_not_to(local: ollama.Client, url: str) -> None:
    messages = [{"role": "user", "content": TEXT}]

    whole = local.chat("echo", messages)
    lines = list(local.chat("echo", messages, stream=True))
    by_default = httpx2.post(f"{url}/api/chat", json={"model": "echo", "messages": messages})

    assert whole.message.content == TEXT
    assert [line.message.content for line in lines] == ["Hello", " there,", "  world", ""]
    assert [line.done for line in lines] == [False, False, False, True]
    for last in (whole, lines[-1]):
        assert (last.done_reason, last.prompt_eval_count, last.eval_count) == ("stop", 3, 3)
    assert by_default.headers["content-type"] == "application/x-ndjson"
    assert len(by_default.text.splitlines()) == 4


def test_ollama_calls_tools_thinks_and_looks_at_images(local: ollama.Client) -> None:
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}

    asked = local.chat("echo", [{"role": "user", "content": CALL}], tools=[tool])
    result = {"role": "tool", "content": "sunny", "tool_name": "weather"}
    history: Any = [{"role": "user", "content": CALL}, asked.message, result]
    answered = local.chat("echo", history, tools=[tool])
    thought = local.chat("reasoning", [{"role": "user", "content": "Hi"}], think=True)
    seen = local.chat("echo", [{"role": "user", "content": "See", "images": [b"12345"]}])

    made = (asked.message.tool_calls or [])[0].function
    assert (made.name, made.arguments) == ("weather", {"city": "L'Aquila"})
    assert answered.message.content == "sunny"
    assert (thought.message.thinking or "").startswith("The user wants")
    assert seen.message.content == "See\n[image, 5 bytes]"


@pytest.mark.parametrize(
    ("model", "status"),
    [("server-error", 500), ("overloaded", 503), ("not-found", 404), ("no-credit", 402)],
)
def test_ollama_fails_in_its_own_words(local: ollama.Client, model: str, status: int) -> None:
    for stream in (False, True):
        with pytest.raises(ollama.ResponseError) as failed:
            list(local.chat(model, [{"role": "user", "content": TEXT}], stream=stream))
        assert failed.value.status_code == status
        assert failed.value.error


def test_an_error_in_the_middle_and_a_line_that_is_no_json_reach_ollamas_client(
    local: ollama.Client,
) -> None:
    messages = [{"role": "user", "content": TEXT}]

    with pytest.raises(ollama.ResponseError, match="busy"):
        list(local.chat("error-midstream", messages, stream=True))
    with pytest.raises(json.JSONDecodeError):
        list(local.chat("garbled", messages, stream=True))


# OpenAI's Responses


def test_responses_answer_whole_and_streamed(responses: Any) -> None:  # noqa: ANN401
    whole = responses.create(model="echo", input=TEXT)
    with responses.stream(model="echo", input=TEXT) as events:
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        final = events.get_final_response()

    assert deltas == ["Hello", " there,", "  world"]
    for told in (whole, final):
        assert (told.status, told.output_text) == ("completed", TEXT)
        assert (told.usage.input_tokens, told.usage.output_tokens) == (3, 3)


def test_responses_call_tools_and_think(responses: Any) -> None:  # noqa: ANN401
    tools = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": False}]

    asked = responses.create(model="reasoning", input=CALL, tools=tools)
    thoughts, made = asked.output
    result = {"type": "function_call_output", "call_id": made.call_id, "output": "sunny"}
    history = [{"role": "user", "content": CALL}, thoughts.to_dict(), made.to_dict(), result]
    answered = responses.create(model="reasoning", input=history, tools=tools)
    history[1] |= {"encrypted_content": "another"}

    assert thoughts.summary[0].text.startswith("The user wants")
    assert (made.name, made.arguments) == ("weather", '{"city": "L\'Aquila"}')
    assert answered.output_text == "sunny"
    with pytest.raises(openai.BadRequestError, match="could not be verified"):
        responses.create(model="reasoning", input=history, tools=tools)
    with pytest.raises(openai.BadRequestError, match="No tool output found"):
        responses.create(model="echo", input=history[:3], tools=tools)


def test_responses_that_are_cut_by_their_length_are_incomplete(responses: Any) -> None:  # noqa: ANN401
    told = responses.create(model="echo", input="a " * 40, max_output_tokens=16)

    assert (told.status, told.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert told.usage.output_tokens == 16


def test_responses_fail_before_and_within_a_stream(responses: Any) -> None:  # noqa: ANN401
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError):
            responses.create(model="rate-limited", input=TEXT, stream=stream)
    *_, last = responses.create(model="error-midstream", input=TEXT, stream=True)
    assert (last.type, "overloaded" in last.message) == ("error", True)
    with pytest.raises(openai.BadRequestError, match="not found"):
        responses.create(model="echo", input=TEXT, previous_response_id="resp_1")
