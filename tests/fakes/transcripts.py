"""Transcripts: what a vendor would send for a given text, reasoning, calls and usage, as bytes.

Frames and bodies come from the sandbox's dialects, so a fake upstream says the same as the sandbox
does, but with any misbehaviour of `tests.fakes.steps` added. `None` for usage leaves it out.
"""

from collections.abc import Sequence

from gateway.sandbox.answers import Answer, Ask, Call, Finish, Usage
from gateway.sandbox.anthropic import Anthropic
from gateway.sandbox.dialect import Dialect, Frame
from gateway.sandbox.failures import Failure, Kind
from gateway.sandbox.gemini import Gemini
from gateway.sandbox.ollama import Ollama
from gateway.sandbox.openai import OpenAI
from gateway.sandbox.responses import Responses
from gateway.sandbox.tokens import split

OPENAI: Dialect = OpenAI()
ANTHROPIC: Dialect = Anthropic()
RESPONSES: Dialect = Responses()
GEMINI: Dialect = Gemini("fake", stream=True)
OLLAMA: Dialect = Ollama()


def answer(
    text: str = "",
    *,
    calls: Sequence[tuple[str, str]] = (),
    reasoning: str = "",
    finish: Finish | None = None,
    usage: tuple[int, int] | None = (10, 5),
) -> Answer:
    """An answer of any protocol. Calls are (name, arguments) pairs; usage is (input, output)."""
    return Answer(
        text=split(text),
        reasoning=split(reasoning),
        calls=tuple(Call(name, arguments) for name, arguments in calls),
        finish=finish or ("tool_calls" if calls else "stop"),
        usage=None if usage is None else Usage(*usage, len(split(reasoning))),
    )


def frames(dialect: Dialect, said: Answer, model: str = "fake") -> list[bytes]:
    """The frames of a whole stream, the end marker last."""
    return [frame.data for frame in staged(dialect, said, model)]


def staged(dialect: Dialect, said: Answer, model: str = "fake") -> list[Frame]:
    """The same, each with its stage: `open`, `content`, `between`, `close`, `end`."""
    ask = Ask(model=model, text="", input_tokens=0, stream=True)
    return list(dialect.frames(ask, said))


def body(dialect: Dialect, said: Answer, model: str = "fake") -> bytes:
    """The answer that is not streamed."""
    return dialect.answer(Ask(model=model, text="", input_tokens=0), said)


def error(dialect: Dialect, kind: Kind, message: str = "It went wrong.") -> tuple[int, bytes]:
    """Status and body of an error answer."""
    return dialect.failure(Failure(kind=kind, message=message), "req_fake")


def error_frame(dialect: Dialect, kind: Kind, message: str = "It went wrong.") -> bytes:
    """An error inside a stream."""
    return dialect.error_frame(Failure(kind=kind, message=message), "req_fake")
