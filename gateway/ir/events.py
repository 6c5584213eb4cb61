"""A streamed answer: a closed union of events, in the order in which they happened.

`choice` is the index of the answer (`n`), 0 mostly. A tool call's `index` is its position among the
calls of its choice; its deltas are fragments of the JSON text, byte-exact. Parts of a choice follow
each other: an encoder that needs blocks opens and closes them as the kind (or the call) changes.
"""

import msgspec

from ccapi.core.usage import Usage
from gateway.ir.failure import FailureKind
from gateway.ir.request import Citation, Raw
from gateway.ir.response import StopReason


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The provider began: what it said of itself.

    `usage` is what it told at the start, if anything.
    """

    id: str = ""
    model: str = ""
    created: int = 0
    usage: Usage | None = None


class TextDelta(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    choice: int = 0
    logprobs: Raw | None = None


class CitationDelta(msgspec.Struct, frozen=True, kw_only=True):
    """Citations of the text so far: as their protocol wrote them, and for every other one."""

    raw: Raw
    protocol: str
    choice: int = 0
    cited: tuple[Citation, ...] = ()


class ReasoningDelta(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    choice: int = 0


class SignatureDelta(msgspec.Struct, frozen=True, kw_only=True):
    """A fragment of the signature of the reasoning so far; ends that reasoning part."""

    signature: str
    signed_by: str
    choice: int = 0


class RedactedReasoningBlock(msgspec.Struct, frozen=True, kw_only=True):
    data: str
    signed_by: str
    choice: int = 0


class ToolCallStarted(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    id: str
    name: str
    choice: int = 0


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    arguments: str
    choice: int = 0


class RefusalDelta(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    choice: int = 0


class AudioDelta(msgspec.Struct, frozen=True, kw_only=True):
    """A fragment of spoken output: base64 audio, its transcript, or both."""

    data: str = ""
    transcript: str = ""
    choice: int = 0


class OtherBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A finished part that only one protocol knows (a server tool's result)."""

    protocol: str
    kind: str
    raw: Raw
    choice: int = 0


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """A choice ended, and why. More choices, or the usage, may follow."""

    reason: StopReason
    raw_reason: str = ""
    stop_sequence: str = ""
    choice: int = 0


class UsageReported(msgspec.Struct, frozen=True, kw_only=True):
    """Usage so far, cumulative: the last one counts, they are never added up.

    None: what the provider told is no usage, and what it told before is out of date.
    """

    usage: Usage | None


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """The protocol's own end marker came: only now is the answer complete."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The provider reported an error inside the stream."""

    kind: FailureKind
    message: str
    code: str = ""


Event = (
    Started
    | TextDelta
    | CitationDelta
    | ReasoningDelta
    | SignatureDelta
    | RedactedReasoningBlock
    | ToolCallStarted
    | ToolCallDelta
    | RefusalDelta
    | AudioDelta
    | OtherBlock
    | Stopped
    | UsageReported
    | Completed
    | Failed
)

CONTENT = (
    TextDelta,
    ReasoningDelta,
    RedactedReasoningBlock,
    ToolCallStarted,
    ToolCallDelta,
    RefusalDelta,
    AudioDelta,
    OtherBlock,
)


def is_content(event: Event) -> bool:
    """Whether this event is output that a client would see.

    After the first, there is no failover.
    """
    return isinstance(event, CONTENT)
