"""Anthropic's JSON as types, lenient to fields that we do not know; and the decoders over them.

Nothing is interpreted here: counts may be `1.0`, optional fields may be null. The only place of
this codec where `Any` may stand. Source: https://platform.claude.com/docs/en/api/messages and the
types of the official `anthropic` SDK (2.12.0).
"""

import re
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

NAME = "anthropic"
VERSION = "2023-06-01"
ABSENT = Raw()

T = TypeVar("T")

Number = int | float
Object = dict[str, Raw]  # JSON that came, values as they came
Json = dict[str, Any]  # JSON to be written


class CacheControl(msgspec.Struct, frozen=True):
    ttl: str | None = None


class Tag(msgspec.Struct, frozen=True):
    type: str


class Source(msgspec.Struct, frozen=True):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: Raw = ABSENT


class TextBlock(msgspec.Struct, frozen=True):
    text: str
    cache_control: CacheControl | None = None
    citations: list[Raw] | None = None


class ImageBlock(msgspec.Struct, frozen=True):
    source: Source
    cache_control: CacheControl | None = None


class DocumentBlock(msgspec.Struct, frozen=True):
    source: Source
    title: str | None = None
    context: Raw = ABSENT
    citations: Raw = ABSENT
    cache_control: CacheControl | None = None


class SearchResultBlock(msgspec.Struct, frozen=True):
    content: list[TextBlock]
    title: str | None = None
    cache_control: CacheControl | None = None


class ThinkingBlock(msgspec.Struct, frozen=True):
    thinking: str
    signature: str | None = None


class RedactedThinkingBlock(msgspec.Struct, frozen=True):
    data: str


class SealedBlock(msgspec.Struct, frozen=True):
    """What `signatures` looks at in a block of thoughts, and `citations` in one of text."""

    type: str
    signature: str = ""
    data: str = ""
    citations: list[Raw] | None = None


class ToolUseBlock(msgspec.Struct, frozen=True):
    id: str
    name: str
    input: Raw = ABSENT
    cache_control: CacheControl | None = None


class ToolResultBlock(msgspec.Struct, frozen=True):
    tool_use_id: str
    content: str | list[Raw] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class MessageParam(msgspec.Struct, frozen=True):
    role: str
    content: str | list[Raw]


class ToolKind(msgspec.Struct, frozen=True):
    type: str | None = None


class ToolParam(msgspec.Struct, frozen=True):
    name: str
    input_schema: Raw = ABSENT
    type: str | None = None
    description: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None


class ToolChoiceParam(msgspec.Struct, frozen=True):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingParam(msgspec.Struct, frozen=True):
    type: str
    budget_tokens: Number | None = None


class FormatParam(msgspec.Struct, frozen=True):
    type: str
    schema: Raw = ABSENT


class Metadata(msgspec.Struct, frozen=True):
    user_id: str | None = None


class CacheCreation(msgspec.Struct, frozen=True):
    ephemeral_5m_input_tokens: Number | None = None
    ephemeral_1h_input_tokens: Number | None = None


class ServerToolUse(msgspec.Struct, frozen=True):
    web_search_requests: Number | None = None


class OutputDetails(msgspec.Struct, frozen=True):
    thinking_tokens: Number | None = None


class Iteration(msgspec.Struct, frozen=True):
    """One sampling of a request that took several (compaction, an advisor)."""

    type: str = ""
    input_tokens: Number | None = None
    cache_creation_input_tokens: Number | None = None
    cache_read_input_tokens: Number | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: Number | None = None


class WireUsage(msgspec.Struct, frozen=True):
    input_tokens: Number | None = None
    cache_creation_input_tokens: Number | None = None
    cache_read_input_tokens: Number | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: Number | None = None
    output_tokens_details: OutputDetails | None = None
    server_tool_use: ServerToolUse | None = None
    iterations: list[Iteration] | None = None


class WireMessage(msgspec.Struct, frozen=True):
    """A whole answer, and the one inside `message_start`."""

    id: str = ""
    type: str = ""
    model: str = ""
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Raw = ABSENT
    error: Raw = ABSENT


class Cited(msgspec.Struct, frozen=True):
    """A citation: of a web search's result, of a search result or of a document of the client's."""

    type: str = ""
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None
    cited_text: str | None = None
    encrypted_index: str | None = None


class Delta(msgspec.Struct, frozen=True):
    """The `delta` of every event, all kinds in one: one pass of the parser a frame."""

    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""
    citation: Raw = ABSENT
    stop_reason: str | None = None
    stop_sequence: str | None = None


class WireError(msgspec.Struct, frozen=True):
    type: str | None = None
    message: str | None = None
    details: dict[str, Any] | None = None


class StreamEvent(msgspec.Struct, frozen=True):
    """Every event of a stream, all kinds in one."""

    type: str = ""
    index: int = 0
    delta: Delta | None = None
    content_block: Raw = ABSENT
    message: WireMessage | None = None
    usage: Raw = ABSENT
    error: WireError | str | None = None


class StartedBlock(msgspec.Struct, frozen=True):
    """The `content_block` of a `content_block_start`, all kinds in one."""

    type: str
    text: str | None = None
    citations: list[Raw] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = ABSENT


class RawDelta(msgspec.Struct, frozen=True):
    """An event whose delta no type of ours describes."""

    delta: Object


_decoders: dict[Any, Any] = {}


def decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    """The decoder of a type, made once."""
    found: msgspec.json.Decoder[T] | None = _decoders.get(type_)
    if found is None:
        found = _decoders[type_] = msgspec.json.Decoder(type_)
    return found


CONTENT: msgspec.json.Decoder[str | list[Raw]] = msgspec.json.Decoder(str | list[Raw])
DOCUMENT_CONTENT: msgspec.json.Decoder[str | list[TextBlock]] = msgspec.json.Decoder(
    str | list[TextBlock]
)
decode_tag = msgspec.json.Decoder(Tag).decode
decode_object = msgspec.json.Decoder(Object).decode
decode_usage = msgspec.json.Decoder(WireUsage).decode
decode_message = msgspec.json.Decoder(WireMessage).decode
decode_event = msgspec.json.Decoder(StreamEvent).decode
decode_started_block = msgspec.json.Decoder(StartedBlock).decode
decode_raw_delta = msgspec.json.Decoder(RawDelta).decode
encode = msgspec.json.Encoder().encode


def absent(raw: Raw) -> bool:
    """Whether the field was not there, or null."""
    return len(raw) == 0 or (len(raw) == 4 and bytes(raw) == b"null")


_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<field>[^`]+)`")


class Fault(msgspec.Struct, frozen=True):
    """What msgspec found wrong: `path` as customers write it (`messages.0.role`)."""

    what: str
    path: str
    missing: bool


def fault(error: msgspec.ValidationError, base: str) -> Fault:
    """Understand msgspec's message: ``Expected `str`, got `int` - at `$[0].role` ``."""
    found = _WHERE.match(str(error))
    what, where = (found["what"], found["path"] or "") if found else (str(error), "")
    path = base + re.sub(r"\[(\d+|\.\.\.)\]", r".\1", where)
    missing = _MISSING.search(what)
    if missing:
        path = f"{path}.{missing['field']}"
    return Fault(what=what.replace("`", ""), path=path.lstrip("."), missing=missing is not None)


def text(raw: Raw) -> str:
    """The JSON text itself. Raises: UnicodeDecodeError for what is not UTF-8."""
    return bytes(raw).decode()
