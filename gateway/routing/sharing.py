"""Breakers shared by all processes, through Valkey: who opened what, and whose turn the probe is.

What one process finds out is written into one hash and published, so that the others know within
milliseconds and a new process reads it at its start. The hash also has what was closed, for a
while, so that whoever comes back from a lost connection can tell "closed" from "forgotten by a
flushed Valkey", and writes the latter again. Times on the wire are what is left of them, by the
server's clock. While Valkey is away each process goes by what it sees itself.
"""

import asyncio
from typing import Any, Protocol
from uuid import uuid4

import msgspec
import structlog

from ccapi.core import clock, valkey, valkey_line
from ccapi.core.valkey_line import Script
from gateway.routing.blame import Cause
from gateway.routing.breakers import FORGET_S, PROBE_S, Breakers, Out, Place

log = structlog.get_logger(__name__)

CHANNEL = "ccapi:breakers"
STATE_KEY = "ccapi:{breakers}:state"
PROBE_KEY = "ccapi:{breakers}:probe:"
STATE_TTL_MS = 600_000
# Somebody else probes: look again after this, in seconds, if nothing was heard of it.
LOOK_AGAIN_S = 1.0
LOADS_MAX, LOAD_AGAIN_S = 50, 0.2

_NOW = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function give_back(key, token)
  if redis.call('GET', key) == token then redis.call('DEL', key) end
end
"""
# A field of the hash: `o <until, ms> <told>` or `c <closed at, ms>`.
OPEN = Script(
    _NOW
    + """
local due = now + ARGV[2]
local known = redis.call('HGET', KEYS[1], ARGV[1])
local theirs = known and tonumber(string.match(known, '^o (%d+) '))
if theirs and theirs > due then due = theirs end
redis.call('HSET', KEYS[1], ARGV[1], string.format('o %d %s', due, ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[5])
give_back(KEYS[2], ARGV[4])
redis.call('PUBLISH', ARGV[6], string.format('%s o %d %s', ARGV[4], due - now, ARGV[3]))
return 1
"""
)
CLOSE = Script(
    _NOW
    + """
redis.call('HSET', KEYS[1], ARGV[1], string.format('c %d', now))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
give_back(KEYS[2], ARGV[2])
redis.call('PUBLISH', ARGV[4], string.format('%s c 0 %s', ARGV[2], ARGV[1]))
return 1
"""
)
# Answers `yes`, `no` (somebody else's turn), `closed`, or `open <ms left> <told>`.
CLAIM = Script(
    _NOW
    + """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then
  local due, told = string.match(known, '^o (%d+) (.*)$')
  if due and tonumber(due) > now then return string.format('open %d %s', due - now, told) end
  local closed = string.match(known, '^c (%d+)$')
  if closed and tonumber(closed) > now - ARGV[4] then return 'closed' end
end
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return 'yes' end
return 'no'
"""
)
RELEASE = Script(_NOW + "give_back(KEYS[1], ARGV[1]) return 1")
LOAD = Script(_NOW + "return {now, redis.call('HGETALL', KEYS[1])}")


class Told(msgspec.Struct, frozen=True):
    """What processes tell each other of an open scope."""

    place: Place
    cause: Cause
    streak: int
    is_rest: bool


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Told).decode


class Shares(Protocol):
    """What the board needs of the others."""

    def opened(self, out: Out) -> None: ...

    def closed(self, scope: str) -> None: ...

    def released(self, scope: str) -> None: ...

    async def claim(self, out: Out) -> bool:
        """Whether this process may try it now: as the one probe, or since it is closed again."""


class Alone:
    """One process that nobody listens to."""

    def opened(self, out: Out) -> None: ...

    def closed(self, scope: str) -> None: ...

    def released(self, scope: str) -> None: ...

    async def claim(self, _out: Out) -> bool:
        return True


class Sharing:
    """The breakers of this process, kept like those of the others. One an event loop."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers
        self._token = uuid4().hex
        self._listening = valkey.subscribe(CHANNEL, self._heard)
        self._loading: asyncio.Task[None] | None = None
        self.is_current = False  # whether it has heard what the others know

    def stop(self) -> None:
        self._listening.cancel()
        if self._loading is not None:
            self._loading.cancel()

    def opened(self, out: Out) -> None:
        left_ms = max(1, round((out.until - clock.monotonic()) * 1000))
        told = _encode(Told(out.place, out.cause, out.streak, out.is_rest))
        scope = out.place.scope
        words = (scope, left_ms, told, self._token, STATE_TTL_MS, CHANNEL)
        valkey_line.line().tell(OPEN, (STATE_KEY, PROBE_KEY + scope), words)

    def closed(self, scope: str) -> None:
        words = (scope, self._token, STATE_TTL_MS, CHANNEL)
        valkey_line.line().tell(CLOSE, (STATE_KEY, PROBE_KEY + scope), words)

    def released(self, scope: str) -> None:
        valkey_line.line().tell(RELEASE, (PROBE_KEY + scope,), (self._token,))

    async def claim(self, out: Out) -> bool:
        scope = out.place.scope
        now = clock.monotonic()
        age_ms = round((now - out.opened_at) * 1000)
        words = (scope, self._token, round(PROBE_S * 1000), age_ms)
        try:
            said: bytes = await valkey_line.line().call(
                CLAIM, (STATE_KEY, PROBE_KEY + scope), words
            )
        except valkey.AWAY:
            return True  # one probe a process is the best there is
        answer, _, rest = said.decode().partition(" ")
        if answer == "yes":
            return True
        if answer == "closed":
            self._breakers.told_closed(scope, at=now)
            return True
        if answer == "open":
            left_ms, _, told = rest.partition(" ")
            self._told_out(told, left_ms=int(left_ms))
        else:
            self._breakers.claim(scope, clock.monotonic(), seconds=LOOK_AGAIN_S)
        return False

    def _heard(self, message: bytes) -> None:
        if not message:
            if self._loading is not None:
                self._loading.cancel()
            self._loading = asyncio.get_running_loop().create_task(self._load())
            return
        token, what, left_ms, rest = message.decode().split(" ", 3)
        if token == self._token:
            return
        if what == "o":
            self._told_out(rest, left_ms=int(left_ms))
        elif self._breakers.told_closed(rest, at=clock.monotonic()):
            log.info("breaker.closed_elsewhere", scope=rest)

    def _told_out(self, text: str, *, left_ms: int) -> None:
        try:
            told = _decode(text.encode())
        except msgspec.DecodeError as error:
            # A process of another version says it otherwise; this one finds out by itself.
            log.warning("breaker.not_understood", reason=str(error))
            return
        now = clock.monotonic()
        self._breakers.told_out(
            Out(
                place=told.place,
                cause=told.cause,
                opened_at=now,
                until=now + left_ms / 1000,
                streak=told.streak,
                is_rest=told.is_rest,
            )
        )

    async def _read(self) -> list[Any] | None:
        """The server's time and the hash; None where Valkey does not stay."""
        for _ in range(LOADS_MAX):
            try:
                read: list[Any] = await valkey_line.line().call(LOAD, (STATE_KEY,), ())
            except valkey.AWAY:
                # The line has its own connection, which may come back later than the one that
                # listens.
                await asyncio.sleep(LOAD_AGAIN_S)
            else:
                return read
        return None

    async def _load(self) -> None:
        """What the others know, at the start and after each lost connection."""
        answer = await self._read()
        if answer is None:
            return
        self.is_current = True
        server_ms, pairs = int(answer[0]), answer[1]
        known: dict[str, str] = {
            pairs[at].decode(): pairs[at + 1].decode() for at in range(0, len(pairs), 2)
        }
        now = clock.monotonic()
        for scope, said in known.items():
            what, _, rest = said.partition(" ")
            at_ms, _, told = rest.partition(" ")
            if what == "c":
                self._breakers.told_closed(scope, at=now - (server_ms - int(at_ms)) / 1000)
            elif (left_ms := int(at_ms) - server_ms) > -FORGET_S * 1000:
                self._told_out(told, left_ms=left_ms)
        for scope, out in tuple(self._breakers.out.items()):
            if scope not in known and out.until > now:
                self.opened(out)
