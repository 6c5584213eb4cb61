"""generateContent requests as the sandbox reads them: strictly where Gemini is strict.

Fields that change nothing here (temperature, safety settings, …) are ignored.
Sources: ai.google.dev/api/generate-content, …/gemini-api/docs/thought-signatures
"""

import base64
import hashlib
from collections.abc import Iterator
from typing import Annotated

import msgspec
import orjson

from gateway.sandbox.answers import Ask, described
from gateway.sandbox.failures import Failure, Refused
from gateway.sandbox.tokens import count


class Call(msgspec.Struct):
    name: str
    args: msgspec.Raw = msgspec.Raw(b"{}")


class Result(msgspec.Struct):
    name: str
    response: dict[str, object] = {}


class Blob(msgspec.Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class FileData(msgspec.Struct, rename="camel"):
    file_uri: str


class Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: Call | None = None
    function_response: Result | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None


class Content(msgspec.Struct):
    parts: Annotated[list[Part], msgspec.Meta(min_length=1)]
    role: str = "user"


class Function(msgspec.Struct, rename="camel"):
    name: str
    description: str = ""
    parameters: dict[str, object] | None = None
    parameters_json_schema: dict[str, object] | None = None


class Tool(msgspec.Struct, rename="camel"):
    function_declarations: list[Function] = []


class CallingConfig(msgspec.Struct, rename="camel"):
    mode: str = "AUTO"
    allowed_function_names: list[str] = []


class ToolConfig(msgspec.Struct, rename="camel"):
    function_calling_config: CallingConfig = msgspec.field(default_factory=CallingConfig)


class GenerationConfig(msgspec.Struct, rename="camel"):
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    stop_sequences: list[str] = []
    candidate_count: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1


class Request(msgspec.Struct, rename="camel"):
    contents: Annotated[list[Content], msgspec.Meta(min_length=1)]
    system_instruction: Content | None = None
    tools: list[Tool] = []
    tool_config: ToolConfig = msgspec.field(default_factory=ToolConfig)
    generation_config: GenerationConfig = msgspec.field(default_factory=GenerationConfig)


_STANDARD = str.maketrans("-_", "+/")
_decode = msgspec.json.Decoder(Request).decode


def parse(body: bytes, model: str, *, stream: bool) -> Ask:
    """Raises: Refused in Google's words where the request is not one."""
    try:
        request = _decode(body)
    except msgspec.ValidationError as error:
        raise Refused(Failure(kind="invalid", message=f"Invalid value: {error}")) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(Failure(kind="invalid_json")) from error
    if model.partition(":")[0] == "reasoning":
        _check_signatures(request)
    names = _callable(request)
    mode = request.tool_config.function_calling_config.mode
    config = request.generation_config
    return Ask(
        model=model,
        text=_echoed(request.contents),
        input_tokens=sum(map(count, _texts(request))),
        tools=names,
        forced=names[0] if names and mode == "ANY" else None,
        max_tokens=config.max_output_tokens,
        stop=tuple(config.stop_sequences),
        n=config.candidate_count,
        stream=stream,
    )


def sealed(thoughts: str) -> str:
    """The signature of thoughts, checked when they come back."""
    seal = hashlib.sha256(b"ccapi sandbox thought\0" + thoughts.encode()).digest()
    return base64.b64encode(seal).decode()


def _check_signatures(request: Request) -> None:
    for content in request.contents:
        thoughts = ""
        for part in content.parts:
            thoughts += part.text or "" if part.thought else ""
            told = part.thought_signature
            # Google's own SDK sends it back in the other alphabet of base64.
            if told and told.translate(_STANDARD) != sealed(thoughts):
                raise Refused(Failure(kind="invalid", message="Thought signature is not valid."))


def _echoed(contents: list[Content]) -> str:
    last = contents[-1]
    results = [part.function_response for part in last.parts if part.function_response]
    if results and not _text(last):
        return "\n".join(_result(each) for each in results)
    users = [content for content in contents if content.role != "model"]
    return _text(users[-1] if users else last)


def _result(result: Result) -> str:
    said = result.response
    for key in ("output", "result", "error"):
        if said.keys() == {key} and isinstance(told := said[key], str):
            return told
    return orjson.dumps(said).decode()


def _text(content: Content) -> str:
    return "\n".join(filter(None, map(_part_text, content.parts)))


def _part_text(part: Part) -> str:
    if part.inline_data is not None:
        return described(part.inline_data.mime_type, part.inline_data.data)
    if part.file_data is not None:
        return f"[file {part.file_data.file_uri}]"
    return "" if part.thought else part.text or ""


def _texts(request: Request) -> Iterator[str]:
    """Everything that counts as input. Schemas and arguments count in their compact form."""
    if request.system_instruction is not None:
        yield _text(request.system_instruction)
    for function in _functions(request):
        yield function.name
        yield function.description
        yield orjson.dumps(function.parameters or function.parameters_json_schema or {}).decode()
    for content in request.contents:
        yield _text(content)
        for part in content.parts:
            if part.function_call is not None:
                yield part.function_call.name
                yield msgspec.json.format(bytes(part.function_call.args), indent=-1).decode()
            if part.function_response is not None:
                yield _result(part.function_response)


def _functions(request: Request) -> list[Function]:
    return [function for tool in request.tools for function in tool.function_declarations]


def _callable(request: Request) -> tuple[str, ...]:
    config = request.tool_config.function_calling_config
    answered = any(part.function_response for part in request.contents[-1].parts)
    if answered or config.mode == "NONE":
        return ()
    names = tuple(function.name for function in _functions(request))
    allowed = config.allowed_function_names
    if unknown := set(allowed) - set(names):
        message = f"allowed_function_names: {sorted(unknown)[0]} is not declared."
        raise Refused(Failure(kind="invalid", message=message))
    return tuple(name for name in names if not allowed or name in allowed)
