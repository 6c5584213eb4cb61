"""A client's body → our request."""

import base64
import json
from typing import Any

import pytest

from ccapi.core.errors import InvalidParameter, MissingParameter
from gateway.ir.request import (
    Audio,
    File,
    Image,
    Media,
    Other,
    OtherTool,
    Reasoning,
    ReasoningConfig,
    RedactedReasoning,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.protocols.gemini.signatures import SKIP, seal
from tests.gateway.protocols.gemini.gemini_kit import Json, decoded, plain

CALL = {"functionCall": {"name": "f", "args": {"a": "it's"}}}


def test_a_content_without_a_role_is_the_users() -> None:
    request = decoded(contents=[{"parts": [{"text": "Hi"}]}])

    assert request.messages[0].role == "user"
    assert request.messages[0].parts == (Text(text="Hi"),)


def test_an_unknown_role_is_refused_by_name() -> None:
    with pytest.raises(InvalidParameter) as caught:
        decoded(contents=[{"role": "narrator", "parts": [{"text": "Hi"}]}])

    assert caught.value.param == "contents[0].role"


@pytest.mark.parametrize("contents", [None, []])
def test_contents_are_required(contents: Json) -> None:
    with pytest.raises((MissingParameter, InvalidParameter)) as caught:
        decoded(contents=contents)

    assert caught.value.param == "contents"


@pytest.mark.parametrize("name", ["systemInstruction", "system_instruction"])
def test_the_instruction_is_taken_in_both_spellings(name: str) -> None:
    request = decoded(**{name: {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}})

    assert request.messages[0].role == "system"
    assert request.messages[0].parts == (Text(text="Be brief."), Text(text="Be kind."))


def test_snake_case_is_understood_everywhere() -> None:
    camel = decoded(
        contents=[
            {"role": "model", "parts": [CALL | {"thoughtSignature": "YWJj"}]},
            {"parts": [{"functionResponse": {"name": "f", "response": {"result": "x"}}}]},
            {"parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBO"}}]},
        ],
        tools=[{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"a_b": 1}}]}],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        generationConfig={
            "topP": 0.5,
            "maxOutputTokens": 9,
            "thinkingConfig": {"thinkingBudget": 5},
        },
    )
    snake = decoded(
        contents=[
            {
                "role": "model",
                "parts": [{"function_call": CALL["functionCall"], "thought_signature": "YWJj"}],
            },
            {"parts": [{"function_response": {"name": "f", "response": {"result": "x"}}}]},
            {"parts": [{"inline_data": {"mime_type": "image/png", "data": "iVBO"}}]},
        ],
        tools=[{"function_declarations": [{"name": "f", "parameters_json_schema": {"a_b": 1}}]}],
        tool_config={"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
        generation_config={
            "top_p": 0.5,
            "max_output_tokens": 9,
            "thinking_config": {"thinking_budget": 5},
        },
    )

    assert plain(snake) == plain(camel)
    assert snake.max_tokens == 9


def test_results_of_two_same_named_calls_are_matched_in_order() -> None:
    request = decoded(
        contents=[
            {"role": "model", "parts": [CALL, CALL, {"functionCall": {"name": "g"}}]},
            {
                "parts": [
                    {"functionResponse": {"name": "g", "response": {"output": "third"}}},
                    {"functionResponse": {"name": "f", "response": {"output": "first"}}},
                    {"functionResponse": {"name": "f", "response": {"output": "second"}}},
                ]
            },
        ]
    )

    calls = {part.id: part for part in request.messages[0].parts if isinstance(part, ToolCall)}
    results = [part for part in request.messages[1].parts if isinstance(part, ToolResult)]
    assert len(calls) == 3
    assert list(calls) == [results[1].call_id, results[2].call_id, results[0].call_id]
    assert calls[results[0].call_id].arguments == "{}"


def test_results_are_matched_by_id_where_there_is_one() -> None:
    first, second = ({"functionCall": {"name": "f", "id": name, "args": {}}} for name in "xy")

    request = decoded(
        contents=[
            {"role": "model", "parts": [first, second]},
            {"parts": [{"functionResponse": {"name": "f", "id": "y", "response": {}}}]},
            {"parts": [{"functionResponse": {"name": "f", "response": {}}}]},
        ]
    )

    answered = [message.parts[0] for message in request.messages[1:]]
    assert [part.call_id for part in answered if isinstance(part, ToolResult)] == ["y", "x"]


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"output": "sunny"}, "sunny", False),
        ({"result": "sunny"}, "sunny", False),
        ({"output": {"t": 1}}, '{"t": 1}', False),
        ({"error": "no such city"}, "no such city", True),
        ({"t": 1, "error": None}, '{"t": 1, "error": null}', False),
    ],
)
def test_a_result_is_its_output_or_its_error_or_the_whole(
    response: Json, text: str, is_error: bool
) -> None:
    request = decoded(
        contents=[{"parts": [{"functionResponse": {"name": "f", "response": response}}]}]
    )

    result = request.messages[0].parts[0]
    assert isinstance(result, ToolResult)
    assert result.parts == (Text(text=text),)
    assert result.is_error is is_error


def test_arguments_are_kept_byte_for_byte() -> None:
    request = decoded(contents=[{"role": "model", "parts": [CALL]}])

    call = request.messages[0].parts[0]
    assert isinstance(call, ToolCall)
    assert call.arguments == '{"a": "it\'s"}'


def test_a_signature_stands_in_front_of_the_part_that_carried_it() -> None:
    request = decoded(
        contents=[
            {
                "role": "model",
                "parts": [
                    {"text": "Let me ", "thought": True},
                    {"text": "see.", "thought": True},
                    CALL | {"thoughtSignature": "YWJj"},
                ],
            },
        ]
    )

    thoughts, call = request.messages[0].parts
    assert thoughts == Reasoning(text="Let me see.", signature="YWJj", signed_by="gemini")
    assert isinstance(call, ToolCall)


def test_signatures_of_other_protocols_are_unsealed_also_in_the_url_alphabet() -> None:
    opaque = "Eo8C+??/>>~~=="
    sealed = seal(opaque, "anthropic")
    resent = base64.urlsafe_b64encode(base64.b64decode(sealed)).decode().rstrip("=")

    for signature in (sealed, resent):
        request = decoded(
            contents=[
                {
                    "role": "model",
                    "parts": [
                        {"text": "Hm.", "thought": True, "thoughtSignature": signature},
                        {"text": "4"},
                    ],
                },
            ]
        )
        thoughts = request.messages[0].parts[0]
        assert thoughts == Reasoning(text="Hm.", signature=opaque, signed_by="anthropic")


def test_redacted_thoughts_come_back_as_such() -> None:
    signature = seal("secret", "anthropic#redacted")

    request = decoded(
        contents=[
            {
                "role": "model",
                "parts": [
                    {"text": "", "thought": True, "thoughtSignature": signature},
                    {"text": "4"},
                ],
            }
        ]
    )

    assert request.messages[0].parts[0] == RedactedReasoning(data="secret", signed_by="anthropic")


def test_the_placeholder_is_no_signature() -> None:
    request = decoded(contents=[{"role": "model", "parts": [CALL | {"thoughtSignature": SKIP}]}])

    assert [type(part) for part in request.messages[0].parts] == [ToolCall]


def test_media_are_what_their_type_says() -> None:
    request = decoded(
        contents=[
            {
                "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": "_-8"}},
                    {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
                    {
                        "inlineData": {
                            "mimeType": "application/pdf",
                            "data": "JVBE",
                            "displayName": "a.pdf",
                        }
                    },
                    {"fileData": {"fileUri": "https://example.com/a.jpg"}},
                    {
                        "fileData": {
                            "mimeType": "video/mp4",
                            "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x",
                        },
                        "videoMetadata": {"fps": 2},
                    },
                ]
            }
        ]
    )

    image, audio, pdf, linked, own = request.messages[0].parts
    # The SDK for Python writes base64 in the alphabet for URLs: others take the standard one.
    assert image == Image(source=Media(data="/+8=", media_type="image/png"))
    assert audio == Audio(source=Media(data="UklG", media_type="audio/wav"), format="wav")
    assert isinstance(pdf, File)
    assert pdf.filename == "a.pdf"
    assert linked == Image(source=Media(url="https://example.com/a.jpg"))
    assert isinstance(own, File)
    assert own.source.file_id.endswith("/files/x")
    assert plain(own.extras) == {"gemini": {"videoMetadata": {"fps": 2}}}


def test_parts_that_only_gemini_knows_stay_raw() -> None:
    part = {
        "executableCode": {"language": "PYTHON", "code": "print(1)"},
        "thoughtSignature": "YWJj",
    }

    request = decoded(contents=[{"role": "model", "parts": [part]}])

    other = request.messages[0].parts[0]
    assert isinstance(other, Other)
    assert (other.protocol, other.kind) == ("gemini", "executableCode")
    assert json.loads(bytes(other.raw)) == part


def test_tools_of_both_schema_kinds_and_of_the_vendor() -> None:
    subset = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "enum": ["a"], "nullable": True},
            "n": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "2"},
            "u": {"any_of": [{"type": "NUMBER"}, {"type": "BOOLEAN"}]},
        },
        "required": ["type"],
    }

    request = decoded(
        tools=[
            {
                "functionDeclarations": [
                    {"name": "a", "description": "A.", "parameters": subset},
                    {"name": "b", "parametersJsonSchema": {"$ref": "#/$defs/x"}},
                    {"name": "c"},
                ]
            },
            {"googleSearch": {}, "urlContext": {}},
            {"codeExecution": {}},
        ]
    )

    first, second, third, *others = request.tools
    assert isinstance(first, Tool)
    assert plain(first.parameters) == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["a", None]},
            "n": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
            "u": {"anyOf": [{"type": "number"}, {"type": "boolean"}]},
        },
        "required": ["type"],
    }
    assert isinstance(second, Tool)
    assert plain(second.parameters) == {"$ref": "#/$defs/x"}
    assert isinstance(third, Tool)
    assert plain(third.parameters) == {"type": "object", "properties": {}}
    kinds = [tool.kind for tool in others if isinstance(tool, OtherTool)]
    assert kinds == ["googleSearch", "urlContext", "codeExecution"]


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"mode": "NONE"}, ToolChoice(mode="none")),
        ({"mode": "AUTO"}, ToolChoice(mode="auto")),
        ({"mode": "VALIDATED"}, ToolChoice(mode="auto")),
        ({"mode": "ANY"}, ToolChoice(mode="required")),
        ({"mode": "any", "allowedFunctionNames": ["f"]}, ToolChoice(mode="tool", name="f")),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolChoice(mode="required")),
        ({}, None),
    ],
)
def test_tool_choice(config: Json, choice: ToolChoice | None) -> None:
    assert decoded(toolConfig={"functionCallingConfig": config}).tool_choice == choice


def test_only_the_allowed_functions_are_left() -> None:
    names = [{"name": name} for name in "fgh"]

    request = decoded(
        tools=[{"functionDeclarations": names}],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "h"]}},
    )

    assert [tool.name for tool in request.tools if isinstance(tool, Tool)] == ["f", "h"]


def test_the_generation_config_is_read() -> None:
    request = decoded(
        generationConfig={
            "temperature": 1.5, "topP": 0.9, "topK": 40.0, "maxOutputTokens": 100,
            "stopSequences": ["END"], "candidateCount": 2, "seed": 7, "presencePenalty": 0.5,
            "frequencyPenalty": -0.5, "responseLogprobs": True, "logprobs": 3,
            "responseModalities": ["TEXT"],
        }
    )  # fmt: skip

    assert (request.temperature, request.top_p, request.top_k) == (1.5, 0.9, 40)
    assert (request.max_tokens, request.stop, request.n, request.seed) == (100, ("END",), 2, 7)
    assert (request.presence_penalty, request.frequency_penalty) == (0.5, -0.5)
    assert (request.logprobs, request.top_logprobs) == (True, 3)
    assert request.extras == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [("temperature", 2.1), ("topP", 1.5), ("maxOutputTokens", 0), ("topK", 1.5), ("seed", "x")],
)
def test_a_value_out_of_its_range_is_refused_by_name(field: str, value: Json) -> None:
    with pytest.raises(InvalidParameter) as caught:
        decoded(generationConfig={field: value})

    assert caught.value.param == f"generationConfig.{field}"


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"thinkingBudget": -1}, ReasoningConfig()),
        ({"thinkingBudget": 0}, ReasoningConfig(enabled=False)),
        ({"thinkingBudget": 512, "includeThoughts": False}, ReasoningConfig(budget_tokens=512)),
        ({"thinkingLevel": "HIGH"}, ReasoningConfig(effort="high")),
        ({"includeThoughts": True}, ReasoningConfig()),
        ({"includeThoughts": False}, None),
    ],
)
def test_how_much_to_think(config: Json, wanted: ReasoningConfig | None) -> None:
    assert decoded(generationConfig={"thinkingConfig": config}).reasoning == wanted


@pytest.mark.parametrize(
    ("config", "mode", "schema"),
    [
        ({"responseMimeType": "application/json"}, "json", None),
        (
            {"responseMimeType": "application/json", "responseSchema": {"type": "STRING"}},
            "schema",
            {"type": "string"},
        ),
        (
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "array"}},
            "schema",
            {"type": "array"},
        ),
    ],
)
def test_structured_output(config: Json, mode: str, schema: Any) -> None:  # noqa: ANN401
    form = decoded(generationConfig=config).response_format

    assert isinstance(form, ResponseFormat)
    assert form.mode == mode
    assert (plain(form.schema) if form.schema else None) == schema


def test_what_only_gemini_has_is_kept_raw() -> None:
    request = decoded(
        safetySettings=[{"category": "X", "threshold": "Y"}],
        cachedContent="cachedContents/1",
        generationConfig={"speechConfig": {"voice": "Kore"}, "temperature": 1},
    )

    assert plain(request.extras["gemini"]) == {
        "safetySettings": [{"category": "X", "threshold": "Y"}],
        "cachedContent": "cachedContents/1",
        "generationConfig.speechConfig": {"voice": "Kore"},
    }
