"""`/api/generate`: one prompt instead of messages, `response` instead of a message.

What only a runtime can do with a prompt (`raw`, `template`, `suffix`, `context`) is refused by
name.
"""

from ccapi.core.errors import MissingParameter, UnsupportedParameter
from ccapi.core.usage import Usage
from gateway.ir.request import Message, Reasoning, Refusal, Request, Text
from gateway.ir.response import Choice, Costs, Response
from gateway.protocols.base import Body, Told
from gateway.protocols.ollama import wire, writer
from gateway.protocols.ollama.logprobs import encode_logprobs
from gateway.protocols.ollama.messages import decode_images
from gateway.protocols.ollama.request import decode_fields, present
from gateway.protocols.ollama.response import head, tail
from gateway.protocols.shared import fields

_KNOWN = frozenset(
    ["model", "prompt", "system", "images", "stream", "format", "think", "options", "raw"]
) | {"template", "suffix", "context", "logprobs", "top_logprobs"}


def decode_request(body: Body) -> Request:
    """Raises: MissingParameter, InvalidParameter, UnsupportedParameter."""
    body = present(body)
    _refuse_runtime(body)
    prompt = fields.text(body, "prompt") or ""
    images = decode_images(body, "")
    if not prompt and not images:
        raise MissingParameter("'prompt' is required.", param="prompt")
    system = fields.text(body, "system")
    messages = [Message(role="system", parts=(Text(text=system),))] if system else []
    said = (Text(text=prompt),) if prompt else ()
    messages.append(Message(role="user", parts=(*said, *images)))
    return decode_fields(body, tuple(messages), known=_KNOWN)


def _refuse_runtime(body: Body) -> None:
    for name in ("template", "suffix", "context"):
        value = body.get(name)
        if value is not None and bytes(value) not in (b'""', b"[]"):
            raise UnsupportedParameter(f"'{name}' is not supported here.", param=name)
    if fields.flag(body, "raw"):
        raise UnsupportedParameter("'raw' is not supported here.", param="raw")


def encode_response(response: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
    choice = response.choices[0] if response.choices else Choice()
    texts = [part.text for part in choice.parts if isinstance(part, Text | Refusal)]
    thoughts = [part.text for part in choice.parts if isinstance(part, Reasoning)]
    body: dict[str, object] = {**head(told, response.created), "response": "".join(texts)}
    if thoughts:
        body["thinking"] = "".join(thoughts)
    body |= encode_logprobs(choice.logprobs)
    return wire.encode(body | tail(choice, usage, costs))


class StreamEncoder(writer.StreamEncoder):
    """Events → lines with `response`; a request of this form has no tools."""

    def _line(self, message: dict[str, object], **fields: object) -> bytes:
        line: dict[str, object] = {**self._head, "response": message["content"]}
        if "thinking" in message:
            line["thinking"] = message["thinking"]
        return wire.line({**line, "done": False, **fields})

    def end(self, usage: Usage, costs: Costs) -> bytes:
        choice = Choice(stop=self._stop)
        return wire.line({**self._head, "response": "", **tail(choice, usage, costs)})
