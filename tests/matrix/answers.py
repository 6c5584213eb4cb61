"""Answers that every upstream can give and every client must get: ours, to be written by each."""

import json

from msgspec import Raw
from msgspec.json import format as in_lines

from ccapi.core.usage import Usage
from gateway.ir.request import Part, Reasoning, RedactedReasoning, Refusal, Text, ToolCall
from gateway.ir.response import Choice, Response, StopReason
from tests.matrix.readers import Answer, Counted, canonical

USAGE = Usage(input=11, output=7)
RICH = Usage(input=100, cache_read=40, cache_write=20, output=30, reasoning=25)
NESTED = (
    '{"it\'s": {"list": [1, 2.5, null, true, {"ü": "日本\\n\\"q\\""}]}, "big": 9007199254740991}'
)
UNICODE = "It's “quoted”,\r\n中文 \U0001f469\u200d\U0001f680\u2028 <b>&amp;</b> \\n \x7f end"
TOKENS = Raw(
    json.dumps(
        {
            "content": [
                {
                    "token": "Yes",
                    "logprob": -0.25,
                    "bytes": [89, 101, 115],
                    "top_logprobs": [{"token": "No", "logprob": -1.5, "bytes": [78, 111]}],
                }
            ]
        }
    ).encode()
)


def answer(
    *parts: Part,
    stop: StopReason = "stop",
    usage: Usage = USAGE,
    stop_sequence: str = "",
    logprobs: Raw | None = None,
) -> Response:
    choice = Choice(parts=parts, stop=stop, stop_sequence=stop_sequence, logprobs=logprobs)
    return Response(id="ans_1", model="up", created=1_700_000_001, choices=(choice,), usage=usage)


def call(index: int, name: str, arguments: str) -> ToolCall:
    return ToolCall(id=f"toolu_{index}", name=name, arguments=arguments, index=index)


THOUGHT = Reasoning(text="First, think. Then it's done.")
ANSWERS: dict[str, Response] = {
    "text": answer(Text(text="Hello, world.")),
    "unicode": answer(Text(text=UNICODE)),
    "empty": answer(usage=Usage(input=11)),
    "one call": answer(call(0, "look", '{"at": "it\'s"}'), stop="tool_calls"),
    "nested arguments": answer(call(0, "look", NESTED), stop="tool_calls"),
    "arguments in lines": answer(call(0, "look", '{\r\n  "at": 1\n}'), stop="tool_calls"),
    "no arguments": answer(call(0, "now", "{}"), stop="tool_calls"),
    "parallel calls": answer(
        call(0, "look", '{"at": 1}'), call(1, "hear", '{"at": 2}'), stop="tool_calls"
    ),
    "two calls of one tool": answer(
        call(0, "look", '{"at": 1}'), call(1, "look", '{"at": 2}'), stop="tool_calls"
    ),
    "text and call": answer(Text(text="Let me look."), call(0, "look", "{}"), stop="tool_calls"),
    "thoughts": answer(THOUGHT, Text(text="Done.")),
    "thoughts alone": answer(THOUGHT, stop="length"),
    "thoughts, text and calls": answer(
        THOUGHT,
        Text(text="I look twice."),
        call(0, "look", '{"at": 1}'),
        call(1, "look", '{"at": 2}'),
        stop="tool_calls",
    ),
    "refusal": answer(Refusal(text="I'm sorry, I can't."), stop="refusal"),
    "length": answer(Text(text="Once upon"), stop="length"),
    "filtered": answer(Text(text="The way to"), stop="content_filter"),
    "filtered at once": answer(stop="content_filter"),
    "stop sequence": answer(Text(text="One, two"), stop="stop_sequence", stop_sequence="three"),
    "cached and reasoned": answer(THOUGHT, Text(text="Done."), usage=RICH),
    "logprobs": answer(Text(text="Yes"), logprobs=TOKENS),
    "logprobs in lines": answer(Text(text="Yes"), logprobs=Raw(in_lines(bytes(TOKENS)))),
}
_STOPS = {"length": "length", "content_filter": "filtered", "refusal": "filtered"}


def said(parts: tuple[Part, ...], kind: type[Reasoning] | type[Text] | type[Refusal]) -> str:
    return "".join(part.text for part in parts if isinstance(part, kind))


def expected(response: Response) -> Answer:
    """What the SDK of any protocol reads of it, at best."""
    choice = response.choices[0]
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    usage = response.usage or Usage()
    return Answer(
        text=said(choice.parts, Text) + said(choice.parts, Refusal),
        reasoning=said(choice.parts, Reasoning),
        calls=tuple((part.name, canonical(part.arguments)) for part in calls),
        stop=_STOPS.get(choice.stop or "stop", "done"),
        counted=Counted(usage.input_total, usage.output_total, usage.cache_read, usage.reasoning),
        ids=tuple(part.id for part in calls),
    )


def signed_by(protocol: str, signature: str) -> Response:
    """An answer with signed thoughts, and the call that they led to."""
    thought = Reasoning(text="I should look.", signature=signature, signed_by=protocol)
    return answer(thought, call(0, "look", '{"at": 1}'), stop="tool_calls")


def redacted_by(protocol: str, data: str) -> Response:
    redacted = RedactedReasoning(data=data, signed_by=protocol)
    return answer(redacted, call(0, "look", '{"at": 1}'), stop="tool_calls")
