"""Counting tokens, in one helper process that starts when it is first needed.

OpenAI's o200k vocabulary takes 145 MB, which no web process should carry for the rare answer
without usage. The count is an estimate for other vendors' models and is flagged as such on the
settlement.
"""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import structlog

from ccapi.core.loops import PerLoop
from ccapi.core.postgres import Batcher

COUNT_S_MAX = 10.0
BATCH_MAX = 32  # texts a call
# Without a tokenizer: English text has a token in four bytes, other scripts more; err on the low
# side.
BYTES_PER_TOKEN = 4

log = structlog.get_logger(__name__)


class _Helper:
    """The helper process, if it runs."""

    pool: ProcessPoolExecutor | None = None


async def count(texts: list[str]) -> int:
    """Tokens of these texts together. Never fails: without the helper, bytes over four."""
    text = "".join(texts)
    return await _counting.get().run(text) if text else 0


async def _count_batch(texts: list[str]) -> list[int]:
    if _Helper.pool is None:
        _Helper.pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_die_with_parent,
            initargs=(os.getpid(),),
        )
    pool = _Helper.pool
    try:
        async with asyncio.timeout(COUNT_S_MAX):
            return await asyncio.get_running_loop().run_in_executor(pool, _count, texts)
    except (TimeoutError, BrokenProcessPool, OSError, RuntimeError) as error:
        log.warning("tokens.helper_failed", error=type(error).__name__)
        if _Helper.pool is pool:
            _Helper.pool = None
        pool.shutdown(wait=False, cancel_futures=True)
        return [len(text.encode()) // BYTES_PER_TOKEN for text in texts]


# One call at a time: when many streams break off at once, a call for each kept the event loop busy
# for 150 ms.
_counting = PerLoop(lambda: Batcher(_count_batch, size_max=BATCH_MAX))


def close() -> None:
    """End the helper process."""
    pool, _Helper.pool = _Helper.pool, None
    if pool is not None:
        pool.shutdown(wait=False, cancel_futures=True)


def _count(texts: list[str]) -> list[int]:
    # Imported in the helper process alone: the module and its vocabulary are what takes the memory.
    from gateway.tokenizer import count_tokens

    return [count_tokens(text) for text in texts]


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process with its parent, also when that one is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
