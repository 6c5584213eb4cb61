"""Answers as the official SDKs read them: their types, and their own accumulation of streams.

One reader a protocol, whole and streamed, each to the same `Answer`: what two clients of different
protocols must agree on.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import httpx
import ollama
from anthropic._models import construct_type as construct_anthropic
from anthropic.types.beta import BetaMessage
from google.genai import types as gemini_types
from openai._models import construct_type as construct_openai
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from gateway.protocols.registry import CODECS
from tests.gateway.protocols.anthropic import anthropic_kit
from tests.gateway.protocols.gemini import gemini_kit
from tests.gateway.protocols.openai_responses import responses_wire
from tests.matrix.passage import frames

Loose: TypeAlias = Any  # JSON of any vendor, as its SDK gives it


class Counted(NamedTuple):
    """Tokens, both sums with all that they include. None: the protocol does not tell them apart."""

    read: int = 0
    written: int = 0
    cached: int | None = None
    reasoning: int | None = None


class Answer(NamedTuple):
    """The first choice of an answer."""

    text: str = ""  # a refusal's words included: not every protocol tells the two apart
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()  # name, arguments as canonical JSON
    stop: str = "done"  # done | length | filtered
    counted: Counted = Counted()
    ids: tuple[str, ...] = ()  # of the calls, where the protocol has any
    error: str = ""


def canonical(arguments: object) -> str:
    """JSON of the same meaning is the same text; what is no JSON stays as it is."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            return str(arguments)
    return json.dumps(arguments or {}, sort_keys=True)


# OpenAI's chat completions


def read_chat(body: bytes) -> Answer:
    return _chat(construct_openai(type_=ChatCompletion, value=json.loads(body)))


def read_chat_stream(data: bytes) -> Answer:
    state = ChatCompletionStreamState()
    seen = False
    for frame in frames(CODECS["openai"], data):
        if not frame.data or frame.data == b"[DONE]":
            continue
        told = json.loads(frame.data)
        if told.get("error"):
            return _broken(state if seen else None, told["error"])
        told.setdefault("choices", [])
        chunk: Loose = construct_openai(type_=ChatCompletionChunk, value=told)
        state.handle_chunk(chunk)
        seen = True
    return _chat(state.current_completion_snapshot)


def _broken(state: ChatCompletionStreamState[None] | None, error: Loose) -> Answer:
    said = _chat(state.current_completion_snapshot) if state else Answer()
    return said._replace(error=str(error["message"]))


def _chat(completion: Loose) -> Answer:
    told = completion.to_dict(warnings=False)
    choice = next((one for one in told["choices"] if not one.get("index")), None)
    if choice is None:
        return Answer()
    message = choice["message"]
    text, thoughts = _content(message.get("content"))
    details = message.get("reasoning_details") or []
    noted = "".join(one.get("text") or one.get("summary") or "" for one in details)
    calls = [call for call in message.get("tool_calls") or [] if call.get("function")]
    word = (choice.get("finish_reason") or "stop").lower()
    stops = {"length": "length", "model_length": "length", "content_filter": "filtered"}
    return Answer(
        text=text + (message.get("refusal") or ""),
        reasoning=message.get("reasoning_content") or message.get("reasoning") or thoughts or noted,
        calls=tuple(_call(call["function"]) for call in calls),
        stop=stops.get(word, "done"),
        counted=_chat_usage(told.get("usage")),
        ids=tuple(call["id"] for call in calls),
    )


def _call(function: Loose) -> tuple[str, str]:
    return function["name"], canonical(function.get("arguments"))


def _content(content: Loose) -> tuple[str, str]:
    """Text and thoughts: a list of parts is Mistral's form."""
    if content is None or isinstance(content, str):
        return content or "", ""
    text = "".join(part["text"] for part in content if part["type"] == "text")
    thinking = [part["thinking"] for part in content if part["type"] == "thinking"]
    return text, "".join(piece.get("text", "") for pieces in thinking for piece in pieces)


def _chat_usage(usage: Loose) -> Counted:
    if not usage:
        return Counted()
    read, written = usage["prompt_tokens"], usage.get("completion_tokens") or 0
    reads = usage.get("prompt_tokens_details") or {}
    writes = usage.get("completion_tokens_details") or {}
    # Vendors that leave thoughts out of `completion_tokens` have them in the total.
    beyond = max(0, (usage.get("total_tokens") or 0) - read - written)
    hit = usage.get("prompt_cache_hit_tokens") or usage.get("num_cached_tokens") or 0
    return Counted(
        read=read,
        written=written + beyond,
        cached=max(reads.get("cached_tokens") or 0, hit, usage.get("cached_tokens") or 0),
        reasoning=beyond or writes.get("reasoning_tokens") or usage.get("reasoning_tokens") or 0,
    )


# OpenAI's responses


def read_responses(body: bytes) -> Answer:
    response: Loose = construct_openai(type_=Response, value=json.loads(body))
    return _responses(response.to_dict(warnings=False))


def read_responses_stream(data: bytes) -> Answer:
    read = responses_wire.sdk_stream(data)
    if read.final:
        return _responses(read.final)
    broken = [event for event in read.events if event["type"] in ("error", "response.failed")]
    told = {
        kind: "".join(each["delta"] for each in read.events if each["type"] == f"response.{kind}")
        for kind in ("output_text.delta", "reasoning_summary_text.delta", "reasoning_text.delta")
    }
    text, *thoughts = told.values()
    words = read.error or (json.dumps(broken[-1]) if broken else "")
    return Answer(text=text, reasoning="".join(thoughts), error=words)


def _responses(told: Loose) -> Answer:
    said = responses_wire.answer_of_sdk(told)
    usage = told.get("usage") or {}
    reads, writes = (usage.get(f"{way}_tokens_details") or {} for way in ("input", "output"))
    return Answer(
        text=said.text + said.refusal,
        reasoning=said.reasoning,
        calls=tuple((name, canonical(arguments)) for _, name, arguments in said.calls),
        stop={"max_output_tokens": "length", "content_filter": "filtered"}.get(said.stop, "done"),
        counted=Counted(
            read=usage.get("input_tokens", 0),
            written=usage.get("output_tokens", 0),
            cached=reads.get("cached_tokens", 0),
            reasoning=writes.get("reasoning_tokens", 0),
        ),
        ids=tuple(call_id for call_id, _, _ in said.calls),
    )


# Anthropic


def read_anthropic(body: bytes) -> Answer:
    message: Loose = construct_anthropic(type_=BetaMessage, value=json.loads(body))
    return _anthropic(message)


def read_anthropic_stream(data: bytes) -> Answer:
    before, mark, after = data.partition(b"event: error")
    if mark:
        body = after.split(b"data: ", 1)[1].split(b"\n", 1)[0]
        said = _anthropic(anthropic_kit.sdk_message(before)) if before.strip() else Answer()
        return said._replace(error=json.loads(body)["error"]["message"])
    return _anthropic(anthropic_kit.sdk_message(data))


def _anthropic(message: BetaMessage) -> Answer:
    told: Loose = message.to_dict(warnings=False)
    blocks = told["content"]
    calls = [block for block in blocks if block["type"] == "tool_use"]
    stops = {
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "refusal": "filtered",
    }
    return Answer(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        reasoning="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        calls=tuple((call["name"], canonical(call["input"])) for call in calls),
        stop=stops.get(told.get("stop_reason"), "done"),
        counted=_anthropic_usage(told["usage"]),
        ids=tuple(call["id"] for call in calls),
    )


def _anthropic_usage(usage: Loose) -> Counted:
    """With the iterations that are billed beside the answer's own (compaction, an advisor)."""
    beside = [one for one in usage.get("iterations") or () if one.get("type") != "message"]
    counted = [usage, *beside]
    cached = sum(one.get("cache_read_input_tokens") or 0 for one in counted)
    return Counted(
        read=cached
        + sum(one.get("cache_creation_input_tokens") or 0 for one in counted)
        + sum(one.get("input_tokens") or 0 for one in counted),
        written=sum(one.get("output_tokens") or 0 for one in counted),
        cached=cached,
        reasoning=(usage.get("output_tokens_details") or {}).get("thinking_tokens"),
    )


# Gemini


def read_gemini(body: bytes) -> Answer:
    return _gemini([gemini_kit.read_by_sdk(body)])


def read_gemini_stream(data: bytes) -> Answer:
    chunks = [frame.data for frame in frames(CODECS["gemini"], data) if frame.data]
    errors = [json.loads(chunk)["error"] for chunk in chunks if b'"error"' in chunk]
    said = _gemini(gemini_kit.read_by_sdk(chunk) for chunk in chunks if b'"error"' not in chunk)
    return said._replace(error=errors[0]["message"]) if errors else said


def _gemini(chunks: Iterable[gemini_types.GenerateContentResponse]) -> Answer:
    chunks = tuple(chunks)
    said = gemini_kit.said(chunks)
    usages = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    feedback = [chunk.prompt_feedback for chunk in chunks if chunk.prompt_feedback]
    blocked = any(told.block_reason for told in feedback)
    word = said["stop"].name if said["stop"] else ""
    filtered = blocked or any(part in word for part in ("SAFETY", "PROHIBITED", "RECITATION"))
    return Answer(
        text=said["text"],
        reasoning=said["thoughts"],
        calls=tuple((name, canonical(args)) for name, args in said["calls"]),
        stop="length" if word == "MAX_TOKENS" else "filtered" if filtered else "done",
        counted=_gemini_usage(usages[-1]) if usages else Counted(),
    )


def _gemini_usage(usage: gemini_types.GenerateContentResponseUsageMetadata) -> Counted:
    thoughts = usage.thoughts_token_count or 0
    return Counted(
        read=(usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        written=(usage.candidates_token_count or 0) + thoughts,
        cached=usage.cached_content_token_count or 0,
        reasoning=thoughts,
    )


# Ollama


def read_ollama(body: bytes) -> Answer:
    return _ollama([ollama.ChatResponse(**json.loads(body))])


def read_ollama_stream(data: bytes) -> Answer:
    client = ollama.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=data))
    )
    lines: list[ollama.ChatResponse] = []
    try:
        lines += client.chat(model="m", messages=[], stream=True)
    except ollama.ResponseError as error:
        return _ollama(lines)._replace(error=error.error)
    return _ollama(lines)


def _ollama(lines: list[ollama.ChatResponse]) -> Answer:
    calls = [call.function for line in lines for call in line.message.tool_calls or ()]
    last = lines[-1] if lines else None
    return Answer(
        text="".join(line.message.content or "" for line in lines),
        reasoning="".join(line.message.thinking or "" for line in lines),
        calls=tuple((call.name, canonical(dict(call.arguments))) for call in calls),
        stop="length" if last and last.done_reason == "length" else "done",
        counted=Counted(
            read=(last.prompt_eval_count if last else 0) or 0,
            written=(last.eval_count if last else 0) or 0,
        ),
    )


WHOLE: dict[str, Callable[[bytes], Answer]] = {
    "openai": read_chat,
    "openai_responses": read_responses,
    "anthropic": read_anthropic,
    "gemini": read_gemini,
    "ollama": read_ollama,
}
STREAMED: dict[str, Callable[[bytes], Answer]] = {
    "openai": read_chat_stream,
    "openai_responses": read_responses_stream,
    "anthropic": read_anthropic_stream,
    "gemini": read_gemini_stream,
    "ollama": read_ollama_stream,
}
# Stops that a protocol has no word for.
UNSAYABLE_STOPS = {"ollama": {"filtered": "done"}}


def same_for(client: str, answer: Answer) -> Answer:
    """The answer as a client of the protocol can be told it at best."""
    stop = UNSAYABLE_STOPS.get(client, {}).get(answer.stop, answer.stop)
    return answer._replace(stop=stop)


def agree(got: Answer, expected: Answer) -> None:
    """All but what one of the two protocols cannot tell. Usage None is not told apart there."""
    assert got._replace(counted=Counted(), ids=()) == expected._replace(counted=Counted(), ids=())
    assert got.counted[:2] == expected.counted[:2]
    for mine, theirs in zip(got.counted[2:], expected.counted[2:], strict=True):
        assert None in (mine, theirs) or mine == theirs, (got.counted, expected.counted)
    if got.ids and expected.ids:
        assert got.ids == expected.ids
