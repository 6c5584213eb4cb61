"""Delivery: how an answer's bytes reach the client, or fail to.

Plain iterators of steps, without I/O. The server carries them out: bytes are sent, a `Pause` is
waited (or ends at once when the client hangs up), and after `Cut` the connection ends with the HTTP
body unfinished. Where the steps simply run out, the body is complete.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

import msgspec

from gateway.sandbox.answers import ENDLESS_INTERVAL_S
from gateway.sandbox.dialect import Frame
from gateway.sandbox.scenarios import SECONDS_MAX, Chosen

SLOW_FIRST_BYTE_S = 30.0


class Pause(msgspec.Struct, frozen=True):
    seconds: float


class Cut(msgspec.Struct, frozen=True):
    """The connection ends here, in the middle of the body."""


CUT: Final = Cut()
Step: TypeAlias = bytes | Pause | Cut


def pause_before(chosen: Chosen) -> float:
    """Seconds of silence before the status line."""
    return chosen.seconds(SLOW_FIRST_BYTE_S) if chosen.name == "slow-first-byte" else 0.0


def stream_steps(
    chosen: Chosen,
    frames: Iterator[Frame],
    error_frame: Callable[[], bytes],
    garbage: bytes,
) -> Iterator[Step]:
    """The steps of a streamed answer; `garbage` is an event that is not JSON."""
    if chosen.name == "endless":
        return _slowly(frames, Pause(chosen.seconds(ENDLESS_INTERVAL_S)))
    if chosen.name == "no-end-marker" and chosen.number is None:
        return (frame.data for frame in frames if frame.stage != "end")
    if chosen.name == "no-end-marker":
        return (frame.data for frame in _head(list(frames), chosen.whole(0)))
    if chosen.name in ("cut-midstream", "error-midstream", "garbled", "stall"):
        return _broken(chosen, list(frames), error_frame, garbage)
    return (frame.data for frame in frames)


def body_steps(
    chosen: Chosen, body: bytes, error: Callable[[], bytes]
) -> tuple[int, Iterator[Step]]:
    """The Content-Length that is promised, and the steps of an answer that is not streamed."""
    half = len(body) // 2
    steps: list[Step] = [body]
    if chosen.name == "cut-midstream":
        steps = [body[:half], CUT]
    elif chosen.name == "stall":
        steps = [body[:half], Pause(chosen.seconds(SECONDS_MAX)), body[half:]]
    elif chosen.name == "endless":
        steps = [body[:half], Pause(SECONDS_MAX), CUT]
    elif chosen.name == "garbled":
        body = body[:half]
        steps = [body]
    elif chosen.name == "error-midstream":
        body = error()
        steps = [body]
    return len(body), iter(steps)


def _broken(
    chosen: Chosen, frames: list[Frame], error_frame: Callable[[], bytes], garbage: bytes
) -> Iterator[Step]:
    """Frames up to the place where it breaks, and what comes then."""
    half = (sum(frame.stage == "content" for frame in frames) + 1) // 2
    # The number of a stall is its seconds; of the others, their place.
    head = _head(frames, half if chosen.name == "stall" else chosen.whole(half))
    rest = frames[len(head) :]
    yield from (frame.data for frame in head)
    match chosen.name:
        case "cut-midstream":
            yield CUT
        case "error-midstream":
            yield error_frame()
        case "stall":
            yield Pause(chosen.seconds(SECONDS_MAX))
            yield from (frame.data for frame in rest)
        case _:
            yield garbage
            skipped = next((at for at, frame in enumerate(rest) if frame.stage == "content"), None)
            yield from (frame.data for at, frame in enumerate(rest) if at != skipped)


def _head(frames: list[Frame], contents: int) -> list[Frame]:
    """The frames up to that many content events, and never the answer's close."""
    seen = 0
    for at, frame in enumerate(frames):
        if frame.stage in ("close", "end") or (seen >= contents and frame.stage == "content"):
            return frames[:at]
        seen += frame.stage == "content"
    return frames


def _slowly(frames: Iterable[Frame], pause: Pause) -> Iterator[Step]:
    for frame in frames:
        yield frame.data
        if frame.stage == "content":
            yield pause
