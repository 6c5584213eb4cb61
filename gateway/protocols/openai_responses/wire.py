"""The wire types of answers and streams, as lenient as vendors are loose, and the shared encoders.

Unknown fields are ignored; what is rarely read (usage, errors, items that only this protocol knows)
stays raw until somebody asks. Requests are decoded field by field in `request` and `items_in`,
since their unknown fields must survive.
"""

import msgspec

from gateway.protocols.shared import raws
from gateway.protocols.shared.raws import Object, Raw, decode_object, encode, first, is_set, raw

# Read and written through this module by the rest of the codec.
__all__ = ["Object", "Raw", "decode_object", "encode", "first", "is_set", "raw"]

NAME = "openai_responses"
NOTHING = Raw()

Wire = dict[str, object]


class Content(msgspec.Struct):
    """A part of a message, of a summary, or of told thoughts."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[Raw] | None = None
    logprobs: list[Raw] | None = None


class Item(msgspec.Struct):
    """An output item: the fields of those that we take apart."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    namespace: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    content: list[Content] | None = None
    summary: list[Content] | None = None
    encrypted_content: str | None = None


class Incomplete(msgspec.Struct):
    reason: str | None = None


class Answer(msgspec.Struct):
    """A response object."""

    id: str | None = None
    model: str | None = None
    created_at: int | float | None = None
    status: str | None = None
    error: Raw = NOTHING
    incomplete_details: Incomplete | None = None
    output: list[Raw] | None = None
    usage: Raw = NOTHING


class Event(msgspec.Struct):
    """An event of a stream. `delta` is no text in a few events that we pass over."""

    type: str = ""
    delta: str | Raw = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    text: str = ""
    arguments: str = ""
    input: str = ""
    refusal: str = ""
    item: Raw = NOTHING
    response: Raw = NOTHING
    annotation: Raw = NOTHING
    logprobs: list[Raw] | None = None
    error: Raw = NOTHING


class Tag(msgspec.Struct):
    type: str = ""


class Sequenced(msgspec.Struct):
    sequence_number: int = -1


class InputDetails(msgspec.Struct):
    cached_tokens: int | float | None = None
    cache_write_tokens: int | float | None = None
    audio_tokens: int | float | None = None
    image_tokens: int | float | None = None


class OutputDetails(msgspec.Struct):
    reasoning_tokens: int | float | None = None
    audio_tokens: int | float | None = None
    image_tokens: int | float | None = None


class Usage(msgspec.Struct):
    input_tokens: int | float | None = None
    output_tokens: int | float | None = None
    total_tokens: int | float | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class CustomInput(msgspec.Struct):
    """The arguments of a call of a custom tool, as other protocols are told it."""

    input: str


class ChatLogprobs(msgspec.Struct):
    """Log probabilities as our types hold them: in the shape of OpenAI's chat."""

    content: list[Raw] | None = None


decode_answer = msgspec.json.Decoder(Answer).decode
decode_item = msgspec.json.Decoder(Item).decode
decode_event = msgspec.json.Decoder(Event).decode
decode_tag = msgspec.json.Decoder(Tag).decode
decode_sequenced = msgspec.json.Decoder(Sequenced).decode
decode_usage = msgspec.json.Decoder(Usage).decode
decode_objects = msgspec.json.Decoder(list[Object]).decode
decode_raws = msgspec.json.Decoder(list[Raw]).decode
decode_custom_input = msgspec.json.Decoder(CustomInput).decode
decode_logprobs = msgspec.json.Decoder(ChatLogprobs).decode


def one_line(raw: Raw) -> Raw:
    """JSON without line ends, which would end a field of a stream's event."""
    return Raw(raws.one_line(bytes(raw)))
