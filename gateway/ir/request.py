"""What a client asks for: messages of parts, tools, and how to answer.

Absent is None (or empty), never a vendor's default. What only one protocol has stands in `extras`
under that protocol's name, as raw JSON by field, and is sent only to providers of that protocol.
"""

from typing import Literal

import msgspec

Raw = msgspec.Raw
Extras = dict[str, dict[str, Raw]]  # protocol → field → JSON

Role = Literal["system", "developer", "user", "assistant", "tool"]


class CacheMark(msgspec.Struct, frozen=True):
    """A wish to cache the prompt up to here.

    `ttl` as the client wrote it (`5m`, `1h`), "" for the default.
    """

    ttl: str = ""


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """Where bytes are: exactly one of a URL.

    Base64 text, or the id of a file kept by the vendor.
    """

    url: str = ""
    data: str = ""  # base64, as it came
    file_id: str = ""
    media_type: str = ""  # "image/png"; "" where the client did not say


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """A source that an answer names, in no protocol's own words.

    It stands for the characters from `start` up to `end` of the whole text of its choice.
    """

    url: str = ""  # "" for a document that the client sent along
    title: str = ""
    quote: str = ""  # what the source says
    start: int = 0
    end: int = 0


class Text(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    text: str
    cache: CacheMark | None = None
    citations: tuple[Raw, ...] = ()  # as their protocol wrote them, see `citations_of`
    citations_of: str = ""
    cited: tuple[Citation, ...] = ()  # the same for every other protocol; in answers alone


class Image(msgspec.Struct, frozen=True, kw_only=True, tag="image"):
    source: Media
    detail: str = ""  # OpenAI's low | high | auto
    cache: CacheMark | None = None


class Audio(msgspec.Struct, frozen=True, kw_only=True, tag="audio"):
    source: Media
    format: str = ""  # "wav", "mp3"
    transcript: str = ""


class File(msgspec.Struct, frozen=True, kw_only=True, tag="file"):
    source: Media
    filename: str = ""
    text: str = ""  # a document given as plain text, instead of a source
    cache: CacheMark | None = None
    extras: Extras = {}


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning"):
    """Thoughts. The signature is opaque and means something only to the protocol that made it."""

    text: str
    signature: str = ""
    signed_by: str = ""  # name of that protocol


class RedactedReasoning(msgspec.Struct, frozen=True, kw_only=True, tag="redacted_reasoning"):
    data: str
    signed_by: str = ""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call"):
    """A call that the model made. `arguments` is JSON text, byte-exact as the model wrote it."""

    id: str
    name: str
    arguments: str
    index: int = 0  # position among the calls of its message
    cache: CacheMark | None = None
    extras: Extras = {}


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag="tool_result"):
    """What a tool answered.

    Both the id and the name of the call, since some protocols match by name.
    """

    call_id: str
    name: str = ""
    parts: "tuple[Part, ...]" = ()
    is_error: bool = False
    cache: CacheMark | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    text: str


class Other(msgspec.Struct, frozen=True, kw_only=True, tag="other"):
    """A part that only one protocol knows.

    Passes on to providers of that protocol, else is dropped.
    """

    protocol: str
    kind: str
    raw: Raw


Part = (
    Text
    | Image
    | Audio
    | File
    | Reasoning
    | RedactedReasoning
    | ToolCall
    | ToolResult
    | Refusal
    | Other
)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn. Tool results are parts of a message of role `tool` (or of `user`.

    In Anthropic's way).
    """

    role: Role
    parts: tuple[Part, ...]
    name: str = ""
    extras: Extras = {}


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function the model may call; `parameters` is its JSON schema, as it came."""

    name: str
    description: str = ""
    parameters: Raw = Raw(b'{"type":"object","properties":{}}')
    strict: bool | None = None
    cache: CacheMark | None = None
    extras: Extras = {}


class OtherTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the vendor runs (web search, code execution): raw, for that protocol only.

    `optional`: offered beside functions whether a task needs it or not, as agents do. A provider
    without it is asked without it, and the client is told so; any other is refused.
    """

    protocol: str
    kind: str
    raw: Raw
    optional: bool = False


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """`auto`, `none`, `required` (some tool), or `tool` (the one named)."""

    mode: Literal["auto", "none", "required", "tool"]
    name: str = ""


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    """`text`, `json` (any object), or `schema` (the JSON schema given)."""

    mode: Literal["text", "json", "schema"]
    name: str = ""
    description: str = ""
    schema: Raw | None = None
    strict: bool | None = None


class ReasoningConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How much to think: an effort, a budget in tokens, or explicitly not at all."""

    enabled: bool = True
    effort: str = ""  # none | minimal | low | medium | high | xhigh | max, as the client wrote it
    budget_tokens: int | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A chat request of any protocol."""

    model: str
    messages: tuple[Message, ...]
    models: tuple[str, ...] = ()  # the failover list; `model` comes first where both are given
    stream: bool = False
    array: bool = False  # a stream is wanted as one JSON array (Gemini's without `alt=sse`)
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: tuple[Tool | OtherTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningConfig | None = None
    user: str = ""
    include_usage: bool = False  # OpenAI's stream_options.include_usage
    # Parameters that mean something only to providers of the request's own protocol, and without
    # which the answer would be another one (what such a provider keeps for the client).
    bound: tuple[str, ...] = ()
    extras: Extras = {}
