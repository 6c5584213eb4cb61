"""What an answer used: watched as it passes, from the provider's own words, else counted.

The meter sees every event of the answer that is being delivered, on the direct path too. It never
changes one. Where the provider's usage is missing (a stream that broke, a vendor that tells none)
the delivered output and the prompt are counted with a tokenizer, and the settlement says so.
"""

from billing.types import UsageSource
from ccapi.core.usage import Usage
from gateway import tokens
from gateway.ir.events import (
    Completed,
    Event,
    Failed,
    ReasoningDelta,
    RefusalDelta,
    Started,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
    is_content,
)
from gateway.ir.request import (
    Audio,
    File,
    Image,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from gateway.ir.response import Response

# Short texts take several times their length in memory, so they are joined when there are many.
PIECES_MAX = 1024
IMAGE_TOKENS_TYPICAL = 800
TOKENS_AROUND_MESSAGE = 4

REFUSED = frozenset({"content_filter", "refusal"})
SAID = frozenset({TextDelta, ReasoningDelta, RefusalDelta})


class Meter:
    """Watches one attempt's events. Cheap: a few attribute writes an event."""

    __slots__ = (
        "_blocks",
        "completed",
        "failed",
        "finish_reason",
        "has_content",
        "pieces",
        "refused",
        "usage",
    )

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.has_content = False
        self.completed = False
        self.failed: Failed | None = None
        self.finish_reason = ""
        self.refused = False  # the provider said that its policy, or the model, declined
        self.pieces: list[str] = []  # delivered text, for counting where usage is missing
        self._blocks: list[str] = []  # what was delivered before

    def observe(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if type(event) in SAID:
                text: str = event.text  # type: ignore[union-attr]  # every type in SAID has it
                if text:
                    self.has_content = True
                    self.pieces.append(text)
            elif is_content(event):
                self.has_content = True
                if isinstance(event, ToolCallDelta):
                    self.pieces.append(event.arguments)
                elif isinstance(event, ToolCallStarted):
                    self.pieces.append(event.name)
            else:
                self._observe_frame(event)
        if len(self.pieces) > PIECES_MAX:
            self._blocks.append("".join(self.pieces))
            self.pieces.clear()

    def _observe_frame(self, event: Event) -> None:
        """What stands around the content: usage, ends, errors."""
        match event:
            case Started(usage=usage):
                self.usage = usage or self.usage
            case UsageReported(usage=usage):
                self.usage = usage
            case Stopped(raw_reason=raw, reason=reason):
                self.finish_reason = raw or reason
                self.refused = reason in REFUSED
            case Completed():
                self.completed = True
            case Failed():
                self.failed = event

    def is_empty(self) -> bool:
        """A finished answer in which the model said nothing and for which nothing was billed.

        A reasoning model may think its whole budget away and show none of it: its usage tells that
        it worked, so that answer counts.
        """
        return not self.has_content and not (self.usage and self.usage.output_total)

    def watch_response(self, response: Response) -> None:
        """The same for an answer that came whole."""
        self.usage = response.usage
        self.completed = True
        for choice in response.choices:
            self.finish_reason = choice.raw_stop or choice.stop or self.finish_reason
            self.refused = choice.stop in REFUSED
            for part in choice.parts:
                self.has_content = True
                self.pieces += _texts(part)

    async def final(self, request: Request, *, whole: bool) -> tuple[Usage, UsageSource]:
        """The usage to charge, and where it comes from.

        `whole`: the answer is complete, so that the provider's usage (if any) is final. Of a broken
        one the input is believed where it was told, and the output is at least what was delivered.
        """
        told = self.usage
        if whole and told is not None:
            return told, UsageSource.PROVIDER
        output = await tokens.count([*self._blocks, *self.pieces])
        if told is not None and told.input_total:
            # Split buckets stay as told; delivered text that they do not cover yet is plain output.
            missing = max(0, output - told.output_total)
            return _with_output(told, told.output + missing), UsageSource.PROVIDER_PARTIAL
        counted = Usage(input=await tokens.count(prompt_texts(request)), output=output)
        return counted, UsageSource.TOKENIZER


def _with_output(usage: Usage, output: int) -> Usage:
    return Usage(
        **{name: getattr(usage, name) for name in usage.__struct_fields__ if name != "output"},
        output=output,
    )


def prompt_texts(request: Request) -> list[str]:
    """Everything of a request that a model reads as text; images as filler of a typical size."""
    texts: list[str] = []
    for message in request.messages:
        texts.append(" a" * TOKENS_AROUND_MESSAGE)
        for part in message.parts:
            texts += _texts(part)
    for tool in request.tools:
        if isinstance(tool, Tool):
            texts += [tool.name, tool.description, bytes(tool.parameters).decode()]
    return texts


def _texts(part: Part) -> list[str]:
    match part:
        case Text() | Refusal() | Reasoning():
            return [part.text]
        case ToolCall():
            return [part.name, part.arguments]
        case ToolResult():
            return [text for inner in part.parts for text in _texts(inner)]
        case Image():
            return [" a" * IMAGE_TOKENS_TYPICAL]
        case File():
            return [part.text or " a" * IMAGE_TOKENS_TYPICAL]
        case Audio():
            return [part.transcript]
        case _:
            return []
