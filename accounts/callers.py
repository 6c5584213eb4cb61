"""Who calls with a secret: looked up in PostgreSQL, remembered for a few seconds in the process.

Each event loop has a memory of its own, so nothing is locked. A remembered answer is used while it
is younger than `CCAPI_KEY_CACHE_S` and nothing has changed since: a trigger counts `key_revision`
up with every change of a key or an organization, and each memory polls it twice a second; a
message on Valkey makes it look at once. While PostgreSQL is away what it said last is good for a
minute, unless something is known to have changed since. Nobody is told 401 because a server of
ours is away.

How secrets look is `accounts.keys`; what a request carries is `accounts.credentials`.
"""

import asyncio
import contextlib
import hmac
import random
import time
from typing import Any

import msgspec
import psycopg
import structlog
from django.conf import settings
from django.db import connection, transaction

from accounts import keys
from accounts.types import Caller
from ccapi.core import peer, postgres, valkey
from ccapi.core.errors import (
    AccountSuspended,
    BillingUnavailable,
    IpNotAllowed,
    KeyExpired,
    KeyRevoked,
    Unauthorized,
)
from ccapi.core.limits import Limits
from ccapi.core.loops import PerLoop

log = structlog.get_logger(__name__)

CHANNEL = "ccapi:keys"
POLL_S = 0.5
STALE_S = 60.0  # how long an answer is good while PostgreSQL is away
RETRY_S = 1.0  # how long nobody asks again after PostgreSQL was found away
TOUCH_S = 60.0  # last_used_at is written at most so often for a key
REMEMBERED_MAX = 10_000  # keys a process remembers
UNKNOWN_MAX = 1_000  # strangers a process remembers

# One text for a key that does not exist and for one that cannot: a guess learns nothing from it.
UNKNOWN = "Unknown API key. Check that it was copied whole."
MISSING = "Missing or invalid Authorization header. Send 'Authorization: Bearer sk-cc-…'."

# Read by the event loop's connections and by Django's alike. The secret before the last rotation
# finds its key too, and expires with its overlap.
FIND = """
SELECT asked.mac, k.id, k.public_id, k.allowed_models,
       extract(epoch FROM CASE WHEN k.mac = asked.mac THEN k.expires_at
                               ELSE least(k.expires_at, k.old_mac_until) END)::float8,
       k.revoked_at IS NOT NULL, o.id, o.public_id, o.status,
       k.last_used_at IS NULL OR k.last_used_at < now() - interval '60 seconds',
       o.rpm, o.tpm, o.concurrent,
       coalesce(k.rpm, 0), coalesce(k.tpm, 0), coalesce(k.concurrent, 0), k.allowed_ips
FROM (SELECT %s::bytea AS mac) asked
JOIN api_key k ON k.mac = asked.mac OR k.old_mac = asked.mac
JOIN organization o ON o.id = k.organization_id
"""
# The condition holds the promise across processes: one write a minute, whoever is first.
TOUCH = """
UPDATE api_key SET last_used_at = now()
WHERE id = ANY(%s::bigint[])
  AND (last_used_at IS NULL OR last_used_at < now() - interval '60 seconds')
"""
REVISION = "SELECT revision FROM key_revision WHERE id = 1"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A key as PostgreSQL has it, whether or not it may be used."""

    mac: bytes
    caller: Caller
    revoked: bool
    organization_status: str
    networks: tuple[peer.Network, ...] = ()  # from which it may be used; empty: all
    untouched: bool  # last_used_at wants writing

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> "Found":
        return cls(
            mac=bytes(row[0]),
            caller=Caller(
                key_id=row[1],
                key=row[2],
                allowed_models=frozenset(row[3]),
                expires_at=row[4],
                organization_id=row[6],
                organization=row[7],
                limits=Limits(rpm=row[10], tpm=row[11], concurrent=row[12]),
                key_limits=Limits(rpm=row[13], tpm=row[14], concurrent=row[15]),
            ),
            revoked=row[5],
            organization_status=row[8],
            networks=tuple(map(peer.network, row[16])),
            untouched=row[9],
        )


def mac_of(secret: str) -> bytes:
    """What the database calls this secret. Raises: Unauthorized, before any I/O."""
    if not keys.is_well_formed(secret):
        raise Unauthorized(UNKNOWN if secret else MISSING)
    return _hash(secret)


def _hash(secret: str) -> bytes:
    return keys.mac(secret, settings.CCAPI_KEY_PEPPER)


def judge(found: Found | None, mac: bytes) -> Caller:
    """The caller, if they may call now.

    Raises: Unauthorized, KeyRevoked, KeyExpired, AccountSuspended, IpNotAllowed.
    """
    if found is None or not hmac.compare_digest(found.mac, mac):
        raise Unauthorized(UNKNOWN)
    caller = found.caller
    if found.revoked:
        raise KeyRevoked("This API key has been revoked. Use another one.")
    if caller.expires_at is not None and caller.expires_at <= time.time():
        raise KeyExpired("This API key has expired. Use another one.")
    if found.organization_status != "active":
        raise AccountSuspended(
            f"Organization {caller.organization} is {found.organization_status}. Ask support."
        )
    if found.networks:
        _check_address(found.networks)
    return caller


def _check_address(networks: tuple[peer.Network, ...]) -> None:
    """Of the request at hand. Raises: IpNotAllowed, also where nobody knows its address."""
    address = peer.address()
    if address is None or not any(address in network for network in networks):
        raise IpNotAllowed(
            f"This API key may not be used from {address or 'here'}. Use it from one of the"
            " addresses that it allows, or change its allowed_ips."
        )


def announce() -> None:
    """Tell every process, once this transaction has committed, that a key or organization changed.

    Saves them the half second until they would have polled; nothing depends on it.
    """
    transaction.on_commit(_publish_revision, robust=True)


def _publish_revision() -> None:
    with connection.cursor() as cursor:
        cursor.execute(REVISION)
        row = cursor.fetchone()
    valkey.publish(CHANNEL, str(row[0] if row else 0))


class _Entry(msgspec.Struct):
    found: Found
    loaded_at: float
    fresh_until: float
    generation: int
    touched_at: float


class Memory:
    """What one event loop remembers."""

    def __init__(self) -> None:
        self.generation = 0  # counts observed changes; older entries are not to be trusted
        self._revision: int | None = None
        self._entries: dict[bytes, _Entry] = {}
        self._unknown: dict[bytes, float] = {}
        self._loading: dict[bytes, asyncio.Task[Found | None]] = {}
        self._touched: set[int] = set()
        self._changed = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._subscriber: asyncio.Task[None] | None = None

    async def authenticate(self, secret: str) -> Caller:
        # What is remembered was well-formed when it was looked up: the hot path hashes only.
        mac = _hash(secret) if len(secret) == keys.LENGTH else mac_of(secret)
        now = time.monotonic()
        entry = self._entries.get(mac)
        if entry is None or entry.fresh_until <= now or entry.generation != self.generation:
            return judge(await self._load(mac_of(secret), now), mac)
        caller = judge(entry.found, mac)
        if entry.touched_at + TOUCH_S <= now:
            entry.touched_at = now
            self._touched.add(caller.key_id)
        return caller

    def observe(self, revision: int) -> None:
        """Distrust everything remembered if the database's revision is another one than before."""
        if revision != self._revision:
            self._revision = revision
            self.generation += 1
            self._unknown.clear()

    async def _load(self, mac: bytes, now: float) -> Found | None:
        self._follow()
        if self._unknown.get(mac, 0.0) > now:
            return None
        loading = self._loading.get(mac)
        if loading is None:
            # A task of its own: the first caller may leave while others wait for the same answer.
            loading = asyncio.create_task(self._fetch(mac))
            self._loading[mac] = loading
            loading.add_done_callback(lambda task: self._loaded(mac, task))
        try:
            return await asyncio.shield(loading)
        except BillingUnavailable:
            entry = self._entries.get(mac)
            if entry is None or not self._may_stand_in(entry):
                raise
            entry.fresh_until = time.monotonic() + RETRY_S
            return entry.found

    def _may_stand_in(self, entry: _Entry) -> bool:
        return entry.generation == self.generation and entry.loaded_at + STALE_S > time.monotonic()

    def _loaded(self, mac: bytes, task: "asyncio.Task[Found | None]") -> None:
        del self._loading[mac]
        if not task.cancelled():
            task.exception()  # seen, though every waiter may have left

    async def _fetch(self, mac: bytes) -> Found | None:
        generation = self.generation  # what changes while we ask makes the answer old
        row = await postgres.fetch_one(FIND, (mac,))
        now = time.monotonic()
        fresh_until = now + settings.CCAPI_KEY_CACHE_S * random.uniform(0.8, 1.0)  # noqa: S311
        before = self._entries.pop(mac, None)
        if row is None:
            _remember(self._unknown, mac, fresh_until, UNKNOWN_MAX)
            return None
        found = Found.of(row)
        touched_at = before.touched_at if before else now
        if found.untouched and (before is None or touched_at + TOUCH_S <= now):
            touched_at = now
            self._touched.add(found.caller.key_id)
        entry = _Entry(
            found=found,
            loaded_at=now,
            fresh_until=fresh_until,
            generation=generation,
            touched_at=touched_at,
        )
        _remember(self._entries, mac, entry, REMEMBERED_MAX)
        return found

    def _follow(self) -> None:
        if self._follower is None or self._follower.done():
            self._follower = asyncio.create_task(self._poll(), name="accounts:revision")
        if self._subscriber is None or self._subscriber.done():
            self._subscriber = valkey.subscribe(CHANNEL, self._hear)

    def _hear(self, message: bytes) -> None:
        if not message.isdigit():
            self._changed.set()  # connected again: look for what was missed
        elif self._revision is None or int(message) > self._revision:
            # Taken at its word, so that it acts even if PostgreSQL goes away before we ask.
            self.observe(int(message))

    async def _poll(self) -> None:
        while True:
            self._changed.clear()
            try:
                row = await postgres.fetch_one(REVISION)
                self.observe(row[0] if row else 0)
                await self._write_touches()
            except BillingUnavailable:
                pass  # said by ccapi.core.postgres; what is remembered grows old by itself
            except psycopg.Error:
                log.exception("accounts.poll_failed")
            # Not `wait_for`: on Python 3.11 it loses a cancellation that comes with its result.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._changed.wait()

    async def _write_touches(self) -> None:
        if self._touched:
            touched, self._touched = self._touched, set()
            await postgres.fetch_all(TOUCH, (sorted(touched),))


def _remember(table: dict[bytes, Any], mac: bytes, value: object, size_max: int) -> None:
    """Put last; what was put first leaves when there are too many."""
    table.pop(mac, None)
    table[mac] = value
    if len(table) > size_max:
        del table[next(iter(table))]


_memories = PerLoop(Memory)


def memory() -> Memory:
    """The memory of the running event loop."""
    return _memories.get()
