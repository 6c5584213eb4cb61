"""The voices of our account at a provider: its own list, kept for some minutes in each process.

It fails soft: where the list does not come, what was known stays, and the next try is a minute
later. Only ElevenLabs' protocol has such a list here (`GET /voices`).
"""

import asyncio

import httpx2
import msgspec
import structlog

from catalog.types import Provider
from ccapi.core import clock
from ccapi.core.loops import PerLoop
from gateway.speech.registry import UPSTREAMS
from gateway.speech.speaker import Speaker
from gateway.speech.voices import Voice
from gateway.transport import auth

log = structlog.get_logger(__name__)

FRESH_S = 300.0
AGAIN_S = 60.0  # after a failure, or for a name that the list did not have
WITHIN_S = 3.0
BYTES_MAX = 4 * 1024 * 1024
VOICES_MAX = 1000


class _Told(msgspec.Struct):
    voice_id: str
    name: str = ""
    description: str | None = None


class _List(msgspec.Struct):
    voices: list[_Told]


_decode = msgspec.json.Decoder(_List).decode


class _Kept:
    def __init__(self) -> None:
        self.voices: tuple[Voice, ...] = ()
        self.asked_at = -FRESH_S
        self.is_good = False
        self.lock = asyncio.Lock()


_lists = PerLoop(dict[int, _Kept])


def known(provider: Provider) -> tuple[Voice, ...]:
    """What is known by now, without asking."""
    kept = _lists.get().get(provider.id)
    return () if kept is None else kept.voices


async def own_voices(provider: Provider, *, age_s: float = FRESH_S) -> tuple[Voice, ...]:
    """The account's voices, not older than this where they can be had; never fails."""
    codec = UPSTREAMS.get(provider.protocol)
    if not isinstance(codec, Speaker) or not codec.lists_voices:
        return ()
    kept = _lists.get().setdefault(provider.id, _Kept())
    async with kept.lock:  # those who come meanwhile share the answer
        age = clock.monotonic() - kept.asked_at
        if age >= (age_s if kept.is_good else AGAIN_S):
            kept.asked_at = clock.monotonic()
            try:
                kept.voices = await _fetched(provider, codec)
                kept.is_good = True
            except (httpx2.HTTPError, OSError, TimeoutError, msgspec.DecodeError) as error:
                kept.is_good = False
                log.warning("voices.not_listed", provider=provider.name, error=type(error).__name__)
    return kept.voices


async def _fetched(provider: Provider, codec: Speaker) -> tuple[Voice, ...]:
    headers, query = auth.credentials(provider, codec.default_auth, auth.next_key(provider))
    url = f"{provider.base_url}/voices" + (f"?{query}" if query else "")
    async with (
        asyncio.timeout(WITHIN_S),
        httpx2.AsyncClient(trust_env=False, timeout=WITHIN_S) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        answer.raise_for_status()
        body = b""
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > BYTES_MAX:
                raise OSError("the list is too long")
    told = _decode(body).voices[:VOICES_MAX]
    return tuple(
        Voice(name=each.name or each.voice_id, id=each.voice_id, description=each.description or "")
        for each in told
    )
