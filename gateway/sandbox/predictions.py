"""Predictions: pictures that are ordered, are at work for a while, and end as their model says.

How one stands follows from its id, which has what was ordered and when, and from the clock: any
process that is asked knows, also after a restart. Only that one was given up has to be remembered;
a process that does not know goes on with it. Who makes an id up gets colours for it.
"""

import base64
import secrets
from collections import OrderedDict
from typing import Annotated, Literal

import msgspec

from gateway.sandbox import pictures
from gateway.sandbox.media_scenarios import ASYNC_IMAGES, scenarios
from gateway.sandbox.scenarios import Chosen, choose

Status = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]

USUAL_S, SLOW_S, LATE_S = 2.0, 20.0, 60.0
STARTING = 0.1  # of the time that one takes
COUNT_MAX = 10
REMEMBERED_MAX = 10_000
MARK = "."  # between a model's name and its number: a colon is a version, to Replicate

_TABLE = scenarios(ASYNC_IMAGES)
Side = Annotated[int, msgspec.Meta(ge=pictures.SIDE_MIN, le=pictures.SIDE_MAX)]


class Work(msgspec.Struct, frozen=True, array_like=True):
    """What was ordered, as the id has it. Times are in seconds since 1970."""

    model: str  # image-slow.20
    began: float
    gives_up_s: float  # after which it is given up, by its order
    count: Annotated[int, msgspec.Meta(ge=1, le=COUNT_MAX)]
    width: Side
    height: Side
    seed: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    nonce: bytes


class Standing(msgspec.Struct, frozen=True):
    """How it stands; `ended` is when it did, `progress` from 0 to 1."""

    status: Status
    progress: float = 0.0
    ended: float | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Work).decode
# Given up → when. Of the many, the latest.
_given_up: OrderedDict[str, float] = OrderedDict()


def chosen_of(model: str) -> Chosen | None:
    """The scenario that a model's name asks for."""
    return choose(model, _TABLE, mark=MARK)


def order(
    model: str, *, now: float, gives_up_s: float, count: int, size: pictures.Size, seed: bytes
) -> str:
    """The id of the prediction: of letters, digits, `-` and `_`."""
    work = Work(
        model=model,
        began=now,
        gives_up_s=gives_up_s,
        count=count,
        width=size.width,
        height=size.height,
        seed=seed,
        nonce=secrets.token_bytes(3),
    )
    return base64.urlsafe_b64encode(_encode(work)).decode().rstrip("=")


def found(key: str) -> tuple[Work, Chosen] | None:
    """What was ordered under an id; None for what is none."""
    try:
        data = base64.b64decode(key + "=" * (-len(key) % 4), altchars=b"-_", validate=True)
        work = _decode(data)
    except (ValueError, msgspec.DecodeError):
        return None
    chosen = chosen_of(work.model)
    return None if chosen is None else (work, chosen)


def give_up(key: str, *, now: float) -> None:
    """Remember that it is not wanted any more; where it had ended, that means nothing."""
    _given_up.setdefault(key, now)
    if len(_given_up) > REMEMBERED_MAX:
        _given_up.popitem(last=False)


def standing(key: str, work: Work, chosen: Chosen, *, now: float) -> Standing:
    """How it stands now."""
    seconds, end = _plan(chosen)
    given_up = _given_up.get(key)
    if given_up is not None and given_up - work.began < seconds:
        if chosen.name != "late-success":
            return Standing("canceled", ended=given_up)
        return Standing("succeeded", 1.0, given_up)
    passed = now - work.began
    if seconds > work.gives_up_s and chosen.name != "never-ends":
        seconds, end = work.gives_up_s, "canceled"
    if passed >= seconds:
        return Standing(end, 1.0 if end == "succeeded" else 0.0, work.began + seconds)
    if passed < STARTING * min(seconds, 10.0):
        return Standing("starting")
    return Standing("processing", passed / seconds)


def picture(work: Work, at: int) -> bytes:
    """One of those that were made."""
    return pictures.png(work.width, work.height, pictures.seed_of(work.seed, at))


def made(work: Work, chosen: Chosen) -> int:
    """How many pictures come of it."""
    match chosen.name:
        case "partial":
            return min(max(chosen.whole(work.count - 1), 1), work.count)
        case "empty":
            return 0
        case _:
            return work.count


def _plan(chosen: Chosen) -> tuple[float, Status]:
    """How long it takes, and how it ends."""
    match chosen.name:
        case "slow":
            return chosen.seconds(SLOW_S), "succeeded"
        case "late-success":
            return chosen.seconds(LATE_S), "succeeded"
        case "failed" | "content-filter":
            return chosen.seconds(USUAL_S), "failed"
        case "never-ends":
            return (float("inf") if chosen.number is None else chosen.seconds(0)), "aborted"
        case _:
            return USUAL_S, "succeeded"
