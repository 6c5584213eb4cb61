"""Header rules: bounds, shapes, and how the body's length is told.

Two servers that read one request differently are how requests are smuggled, so what could be read
in two ways is refused whatever the server behind us made of it.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from ccapi.core.errors import GatewayError, InvalidRequest, RequestTooLarge, UnsupportedParameter

Header = tuple[bytes, bytes]

COUNT_MAX = 64
BYTES_MAX = 16 * 1024
LENGTH_DIGITS_MAX = 15

# Two of these would let two readers believe different things.
SINGLE = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"content-type",
        b"content-encoding",
        b"expect",
        b"upgrade",
        b"origin",
        b"authorization",
        b"x-api-key",
        b"x-goog-api-key",
        b"idempotency-key",
    }
)
# Control characters, and what Python's text functions take for the end of a line.
_FORBIDDEN = bytes([*range(0x20), 0x7F, 0x85])


class Smuggling(InvalidRequest):
    """The request's end is ambiguous: the connection is closed with the answer."""

    closes: ClassVar[bool] = True


def check(headers: Iterable[Header]) -> dict[bytes, bytes]:
    """Headers by name, all within the rules; of names that may repeat, the last.

    Raises: RequestTooLarge, InvalidRequest, Smuggling.
    """
    pairs = headers if isinstance(headers, list) else list(headers)
    if not pairs:
        return {}
    if len(pairs) > COUNT_MAX:
        raise RequestTooLarge(f"The request has more than {COUNT_MAX} headers.")
    found = dict(pairs)
    # Joined once, then searched at the speed of C: a loop over the pairs takes four times as long.
    names, values = zip(*pairs, strict=True)
    all_names, all_values = b" ".join(names), b" ".join(values)
    if len(all_names) + len(all_values) + 2 * len(pairs) > BYTES_MAX:
        raise RequestTooLarge(f"The request's headers are longer than {BYTES_MAX} bytes.")
    if b"_" in all_names:
        # Behind WSGI-like environments `_` and `-` are one: such a name could pass for another.
        raise InvalidRequest("A header's name has an underscore.")
    if len(all_values.translate(None, _FORBIDDEN)) != len(all_values):
        raise InvalidRequest("A header's value has a control character.")
    if len(found) != len(pairs):
        _check_repeated(names)
    return found


def _check_repeated(names: tuple[bytes, ...]) -> None:
    for name in SINGLE.intersection(names):
        if names.count(name) > 1:
            raise Smuggling(f"The header {name.decode()} stands in the request more than once.")


def check_framing(found: Mapping[bytes, bytes], http_version: str) -> None:
    """How the body is framed and coded, where a header beside Content-Length says something.

    Raises: Smuggling, UnsupportedParameter, InvalidRequest.
    """
    transfer = found.get(b"transfer-encoding")
    if transfer is not None:
        if b"content-length" in found:
            raise Smuggling("The request has both Content-Length and Transfer-Encoding.")
        if transfer.lower() != b"chunked" or http_version != "1.1":
            raise Smuggling("The only Transfer-Encoding taken is chunked, over HTTP/1.1.")
    if b"upgrade" in found and (transfer is not None or found.get(b"content-length", b"0") != b"0"):
        raise Smuggling("A request that asks for an upgrade cannot have a body.")
    if found.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedParameter(
            "Compressed request bodies are not taken; send the body without Content-Encoding.",
            param="content-encoding",
        )
    if found.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise InvalidRequest("The only Expect taken is 100-continue.")


def content_length(value: bytes, limit: int) -> int:
    """The body's length in bytes. Raises: Smuggling, RequestTooLarge."""
    if not value.isdigit():
        raise Smuggling("Content-Length is not a number.")
    if len(value) > LENGTH_DIGITS_MAX or (length := int(value)) > limit:
        raise too_large(limit)
    return length


def too_large(limit: int) -> GatewayError:
    return RequestTooLarge(f"The request body is longer than {limit} bytes.")
