"""Our request → the body for an upstream."""

import json
from typing import Any

import pytest

from ccapi.core.errors import UnsupportedParameter
from gateway.ir.request import (
    File,
    Image,
    Media,
    Message,
    OtherTool,
    Part,
    Raw,
    Reasoning,
    ReasoningConfig,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.protocols.gemini import CODEC
from gateway.protocols.gemini.signatures import SKIP, seal
from tests.gateway.protocols.gemini.gemini_kit import Json, ask, body_of, decoded, encoded, target

USER = Message(role="user", parts=(Text(text="Hi"),))
CALL = ToolCall(id="c1", name="f", arguments='{"a": "it\'s"}')
RESULT = Message(role="tool", parts=(ToolResult(call_id="c1", parts=(Text(text="ok"),)),))


def request(*messages: Message, **fields: Json) -> Request:
    wanted: dict[str, Json] = {"model": "m", "messages": messages or (USER,)}
    return Request(**wanted | fields)


def model(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def parts_of(body: dict[str, Any], turn: int) -> Json:
    return body["contents"][turn]["parts"]


@pytest.mark.parametrize(
    ("stream", "path"),
    [
        (False, "/models/gem/x:generateContent"),
        (True, "/models/gem/x:streamGenerateContent?alt=sse"),
    ],
)
def test_model_and_stream_stand_in_the_path(stream: bool, path: str) -> None:
    sent = CODEC.encode_request(request(), target(upstream_model="gem/x", stream=stream))

    assert sent.path == path
    assert json.loads(sent.body) == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert "key" not in sent.path


def test_system_messages_move_to_the_instruction_wherever_they_stand() -> None:
    late = Message(role="developer", parts=(Text(text="Late."),))
    body = encoded(request(Message(role="system", parts=(Text(text="Early."),)), USER, late))

    assert body["systemInstruction"] == {"parts": [{"text": "Early."}, {"text": "Late."}]}
    assert len(body["contents"]) == 1


def test_the_first_call_of_each_step_of_the_turn_gets_the_placeholder() -> None:
    second = ToolCall(id="c2", name="f", arguments="{}", index=1)
    old = (USER, model(CALL), RESULT, model(Text(text="Done.")))

    body = encoded(request(*old, USER, model(CALL, second), RESULT, model(CALL), RESULT))

    signed = [
        part.get("thoughtSignature")
        for content in body["contents"]
        for part in content["parts"]
        if "functionCall" in part
    ]
    assert signed == [None, SKIP, None, SKIP]


def test_older_models_get_no_placeholder() -> None:
    body = encoded(request(USER, model(CALL), RESULT), upstream_model="gemini-2.5-flash")

    assert "thoughtSignature" not in parts_of(body, 1)[0]


def test_a_signature_of_geminis_goes_back_onto_its_call_even_behind_a_text() -> None:
    thoughts = Reasoning(text="Hm.", signature="YWJj", signed_by="gemini")

    body = encoded(request(USER, model(thoughts, Text(text="I ask."), CALL), RESULT))

    assert parts_of(body, 1) == [
        {"text": "Hm.", "thought": True},
        {"text": "I ask."},
        {
            "functionCall": {"id": "c1", "name": "f", "args": {"a": "it's"}},
            "thoughtSignature": "YWJj",
        },
    ]


def test_thoughts_that_another_protocol_signed_stay_behind_and_are_named() -> None:
    thoughts = Reasoning(text="Hm.", signature="x", signed_by="anthropic")

    sent = CODEC.encode_request(request(USER, model(thoughts, Text(text="4")), USER), target())

    assert parts_of(json.loads(sent.body), 1) == [{"text": "4"}]
    assert sent.dropped == ("messages.reasoning",)


def test_results_learn_the_name_of_their_call_and_join_one_turn() -> None:
    other = ToolCall(id="c2", name="g", arguments="", index=1)
    failed = ToolResult(call_id="c2", parts=(Text(text="no"),), is_error=True)

    body = encoded(request(USER, model(CALL, other), RESULT, Message(role="tool", parts=(failed,))))

    assert parts_of(body, 2) == [
        {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "ok"}}},
        {"functionResponse": {"id": "c2", "name": "g", "response": {"error": "no"}}},
    ]


def test_media_of_a_result_stand_inside_it_or_behind_it_by_the_model() -> None:
    image = Image(source=Media(data="iVBO", media_type="image/png"))
    result = ToolResult(call_id="c1", name="f", parts=(Text(text="see"), image))
    asked = request(USER, model(CALL), Message(role="tool", parts=(result,)))
    blob = {"inlineData": {"mimeType": "image/png", "data": "iVBO"}}

    assert parts_of(encoded(asked), 2)[0]["functionResponse"]["parts"] == [blob]
    older = parts_of(encoded(asked, upstream_model="gemini-2.5-pro"), 2)
    assert "parts" not in older[0]["functionResponse"]
    assert older[1] == blob


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        (
            Image(source=Media(url="https://example.com/a.png")),
            {"fileData": {"fileUri": "https://example.com/a.png", "mimeType": "image/png"}},
        ),
        (
            Image(source=Media(url="data:image/gif;base64,R0lGOD")),
            {"inlineData": {"mimeType": "image/gif", "data": "R0lGOD"}},
        ),
        (
            Image(source=Media(data="/9j/AAA")),
            {"inlineData": {"mimeType": "image/jpeg", "data": "/9j/AAA"}},
        ),
        (File(source=Media(), text="plain", filename="n.txt"), {"text": "n.txt:\n\nplain"}),
    ],
)
def test_media_by_url_and_by_bytes(part: Part, wanted: Json) -> None:
    body = encoded(request(Message(role="user", parts=(part,))))

    assert parts_of(body, 0) == [wanted]


@pytest.mark.parametrize(
    "source", [Media(file_id="file-abc"), Media(url="ftp://example.com/a.png"), Media(data="AAAA")]
)
def test_media_that_gemini_cannot_be_given_are_refused(source: Media) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        encoded(request(Message(role="user", parts=(Image(source=source),))))

    assert caught.value.param == "messages[0].content[0]"


def test_a_json_schema_goes_as_such_and_geminis_own_as_it_was() -> None:
    schema = Raw(
        b'{"type":"object","properties":{"a":{"$ref":"#/x"}},"additionalProperties":false}'
    )
    body = encoded(request(tools=(Tool(name="f", description="F.", parameters=schema),)))

    declaration = {
        "name": "f",
        "description": "F.",
        "parametersJsonSchema": json.loads(bytes(schema)),
    }
    assert body["tools"] == [{"functionDeclarations": [declaration]}]
    own = [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]
    assert encoded(decoded(tools=own))["tools"] == own


def test_a_tool_of_another_vendor_is_refused_and_geminis_own_passes() -> None:
    own = OtherTool(protocol="gemini", kind="googleSearch", raw=Raw(b'{"googleSearch":{}}'))
    other = OtherTool(protocol="anthropic", kind="web_search", raw=Raw(b"{}"))

    assert encoded(request(tools=(own,)))["tools"] == [{"googleSearch": {}}]
    with pytest.raises(UnsupportedParameter):
        encoded(request(tools=(other,)))


def test_a_name_that_gemini_does_not_take_is_refused() -> None:
    with pytest.raises(UnsupportedParameter):
        encoded(request(tools=(Tool(name="1 bad"),)))


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (ToolChoice(mode="auto"), {"mode": "AUTO"}),
        (ToolChoice(mode="none"), {"mode": "NONE"}),
        (ToolChoice(mode="required"), {"mode": "ANY"}),
        (ToolChoice(mode="tool", name="f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choice_is_told(choice: ToolChoice, wanted: Json) -> None:
    body = encoded(request(tools=(Tool(name="f"),), tool_choice=choice))

    assert body["toolConfig"] == {"functionCallingConfig": wanted}


@pytest.mark.parametrize(
    ("config", "name", "wanted"),
    [
        (ReasoningConfig(effort="high"), "gemini-3-pro", {"thinkingLevel": "high"}),
        (ReasoningConfig(effort="minimal"), "gemini-3-pro", {"thinkingLevel": "low"}),
        (ReasoningConfig(effort="medium"), "gemini-2.5-pro", {"thinkingBudget": 8192}),
        (ReasoningConfig(), "gemini-2.5-flash", {"thinkingBudget": -1}),
        (ReasoningConfig(budget_tokens=99), "gemini-3-flash", {"thinkingBudget": 99}),
    ],
)
def test_thinking_is_said_as_the_model_takes_it(
    config: ReasoningConfig, name: str, wanted: Json
) -> None:
    body = encoded(request(reasoning=config), upstream_model=name)

    assert body["generationConfig"]["thinkingConfig"] == {"includeThoughts": True} | wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("gemini-2.5-flash", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"thinkingBudget": 128}),
        ("gemini-3-flash", {"thinkingLevel": "minimal"}),
    ],
)
def test_not_thinking_is_said_as_the_model_takes_it(name: str, wanted: Json) -> None:
    body = encoded(request(reasoning=ReasoningConfig(enabled=False)), upstream_model=name)

    assert body["generationConfig"]["thinkingConfig"] == wanted


def test_what_has_no_counterpart_is_named() -> None:
    asked = request(
        user="u", tools=(Tool(name="f"),), parallel_tool_calls=False,
        reasoning=ReasoningConfig(effort="low"), extras={"openai": {"store": Raw(b"true")}},
    )  # fmt: skip

    sent = CODEC.encode_request(asked, target(upstream_model="gemini-2.0-flash"))

    assert sent.dropped == ("reasoning", "user", "parallel_tool_calls", "store")


def test_a_limit_of_the_wallet_and_of_the_model_hold() -> None:
    assert encoded(request(), max_tokens=50)["generationConfig"] == {"maxOutputTokens": 50}
    asked = request(max_tokens=9000)
    assert encoded(asked, max_output_tokens=800)["generationConfig"] == {"maxOutputTokens": 800}


def test_a_direct_request_gets_the_wallets_limit_where_it_names_none() -> None:
    own = body_of(ask(generation_config={"temperature": 1}))
    named = body_of(ask(generationConfig={"maxOutputTokens": 5}))

    told = json.loads(CODEC.direct_request(own, target(max_tokens=70)).body)
    assert told["generation_config"] == {"temperature": 1, "maxOutputTokens": 70}
    kept = json.loads(CODEC.direct_request(named, target(max_tokens=70)).body)
    assert kept["generationConfig"] == {"maxOutputTokens": 5}


def test_a_direct_request_loses_foreign_signatures_and_gains_the_placeholder() -> None:
    sealed = seal("x", "anthropic")
    call = {"functionCall": {"name": "f", "args": {}}}
    body = body_of(
        ask(
            contents=[
                {"parts": [{"text": "Hi"}]},
                {
                    "role": "model",
                    "parts": [{"text": "Hm.", "thought": True, "thoughtSignature": sealed}, call],
                },
                {"parts": [{"functionResponse": {"name": "f", "response": {}}}]},
            ]
        )
    )

    sent = CODEC.direct_request(body, target())

    contents = json.loads(sent.body)["contents"]
    assert contents[1]["parts"] == [call | {"thoughtSignature": SKIP}]
    assert sent.dropped == ("contents.thoughtSignature",)
    assert sealed.encode() not in sent.body


def test_a_direct_request_with_its_own_signatures_passes_byte_for_byte() -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1.50}}, "thoughtSignature": "YWJj"}
    body = body_of(ask(contents=[{"role": "model", "parts": [call]}]))

    sent = CODEC.direct_request(body, target())

    assert bytes(body["contents"]) in sent.body
