"""Raw JSON values: looked at, written, taken apart one level."""

import msgspec

Raw = msgspec.Raw
Object = dict[str, Raw]

NULL = b"null"

encode = msgspec.json.Encoder().encode
decode_object = msgspec.json.Decoder(Object).decode


def raw(value: object) -> Raw:
    """A value of ours as raw JSON."""
    return Raw(encode(value))


def is_set(value: Raw) -> bool:
    """Whether a raw field was there and is not null."""
    size = len(value)
    return size != 0 and (size != len(NULL) or bytes(value) != NULL)


def first(value: Raw) -> bytes:
    """The first byte of raw JSON: says whether it is text, an array, or an object."""
    return bytes(memoryview(value)[:1])


def one_line(data: bytes) -> bytes:
    """JSON without line ends, which would end a line of NDJSON or a field of an event."""
    if b"\n" in data or b"\r" in data:
        return msgspec.json.format(data, indent=-1)
    return data
