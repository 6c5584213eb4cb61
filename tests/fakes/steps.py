"""Steps: what a fake upstream does on its socket, and builders for the usual ones.

A `Script` is a tuple of steps: bytes are written in one go, and everything else misbehaves.
Builders make scripts of whole HTTP answers; scripts are joined with `+`. A script without `Close`
or `Reset` leaves the connection open for the next request, so one that ends in mid-answer hangs.
"""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Literal, TypeAlias

import msgspec


class Send(msgspec.Struct, frozen=True, tag="send"):
    data: bytes


class Wait(msgspec.Struct, frozen=True, tag="wait"):
    """Silence for so long, or until the client hangs up."""

    seconds: float


class Close(msgspec.Struct, frozen=True, tag="close"):
    """FIN, after all that was sent."""


class Reset(msgspec.Struct, frozen=True, tag="reset"):
    """RST.

    What was sent just before may be lost with it; put a short `Wait` between if it must not.
    """


Step: TypeAlias = Send | Wait | Close | Reset
Script: TypeAlias = tuple[Step, ...]
Framing: TypeAlias = Literal["length", "chunked", "close"]

SILENCE: Script = (Wait(3600.0),)
CLOSE: Script = (Close(),)
RESET: Script = (Wait(0.02), Reset())
SSE = "text/event-stream; charset=utf-8"


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """A status line and headers, with their blank line."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase if status in _KNOWN else 'Strange'}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


_KNOWN = {status.value for status in HTTPStatus}


def reply(
    status: int = 200,
    body: bytes | Iterable[bytes] = b"",
    *,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
    framing: Framing | None = None,
    pace: float = 0.0,
    first_byte_s: float = 0.0,
    cut_after: int | None = None,
    ending: Script = (),
    content_length: int | None = None,
) -> Script:
    """One HTTP answer.

    A body in pieces is written piece by piece, `pace` seconds apart, and is framed in chunks unless
    told otherwise. With `cut_after`, only so many bytes of the body are sent, its framing is left
    unfinished, and `ending` (CLOSE unless given; RESET, SILENCE) follows. `content_length` states
    another length than the body has.
    """
    pieces = [body] if isinstance(body, bytes) else list(body)
    framing = framing or ("length" if isinstance(body, bytes) else "chunked")
    fields = {"content-type": media_type, **(headers or {})}
    if framing == "chunked":
        fields["transfer-encoding"] = "chunked"
    elif framing == "length":
        length = sum(map(len, pieces)) if content_length is None else content_length
        fields["content-length"] = str(length)
    else:
        fields["connection"] = "close"
    steps: list[Step] = [Wait(first_byte_s)] if first_byte_s else []
    steps.append(Send(head(status, fields)))
    for index, piece in enumerate(_cut(pieces, cut_after)):
        if index and pace:
            steps.append(Wait(pace))
        steps.append(Send(_chunk(piece) if framing == "chunked" else piece))
    if cut_after is not None:
        return (*steps, *(ending or CLOSE))
    if framing == "chunked":
        steps.append(Send(b"0\r\n\r\n"))
    return (*steps, *(CLOSE if framing == "close" else ()), *ending)


def stream(
    frames: Iterable[bytes],
    *,
    crlf: bool = False,
    piece_bytes: int | None = None,
    headers: Mapping[str, str] | None = None,
    framing: Framing = "chunked",
    pace: float = 0.0,
    first_byte_s: float = 0.0,
    cut_after: int | None = None,
    ending: Script = (),
) -> Script:
    """An SSE answer, a frame a write, or in pieces of so many bytes wherever that cuts them."""
    parts = [frame.replace(b"\n", b"\r\n") if crlf else frame for frame in frames]
    if piece_bytes:
        whole = b"".join(parts)
        parts = [whole[at : at + piece_bytes] for at in range(0, len(whole), piece_bytes)]
    return reply(
        body=parts,
        media_type=SSE,
        headers=headers,
        framing=framing,
        pace=pace,
        first_byte_s=first_byte_s,
        cut_after=cut_after,
        ending=ending,
    )


def _chunk(piece: bytes) -> bytes:
    # An empty chunk would be the last one.
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def _cut(pieces: Iterable[bytes], after: int | None) -> Iterator[bytes]:
    if after is None:
        yield from pieces
        return
    for piece in pieces:
        if after <= 0:
            return
        yield piece[:after]
        after -= len(piece)
