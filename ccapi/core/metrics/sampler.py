"""Figures that are looked at rather than counted: once a second, on the event loop.

Whoever knows such a figure registers a function that sets its gauge; it must not block. The loop's
own lag and the process's memory and CPU are looked at here.
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from ccapi.core.loops import PerLoop
from ccapi.core.metrics.families import Counter, Gauge, Histogram

log = structlog.get_logger(__name__)

EVERY_S = 1.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
STATM = Path("/proc/self/statm")  # Linux; elsewhere memory is not told
DESCRIPTORS = Path("/proc/self/fd")

LOOP_LAG = Histogram(
    "ccapi_loop_lag_seconds",
    "How late a timer of the event loop went off: whoever waits for it waits so long.",
    bounds=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
CPU = Counter("ccapi_process_cpu_seconds_total", "CPU time of our processes, user and system.")
MEMORY = Gauge("ccapi_process_resident_bytes", "Resident memory of the living processes.")
OPEN_FILES = Gauge("ccapi_process_open_files", "Descriptors of the living processes.")

Sample = Callable[[], None]

_samples: dict[Sample, None] = {}  # in the order of registration


def register(sample: Sample) -> Sample:
    """Call `sample` once a second on every loop that samples; once, however often it is said.

    May be used as a decorator.
    """
    _samples[sample] = None
    return sample


def forget(sample: Sample) -> None:
    _samples.pop(sample, None)


def sample_all() -> None:
    """Every registered look, once."""
    for sample in tuple(_samples):
        try:
            sample()
        except Exception:
            # One figure that cannot be had must not take the others with it.
            log.exception("sample.failed", sample=sample.__qualname__)


class Sampler:
    """The timer of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + EVERY_S
        self._timer = self._loop.call_at(self._due, self._look)

    def close(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        LOOP_LAG.observe((), max(0.0, now - self._due))
        sample_all()
        self._due = self._loop.time() + EVERY_S
        self._timer = self._loop.call_at(self._due, self._look)


@register
def sample_process() -> None:
    CPU.add((), time.process_time() - CPU.value())
    if STATM.exists():
        MEMORY.set(int(STATM.read_text().split()[1]) * PAGE_BYTES)
        OPEN_FILES.set(sum(1 for _ in DESCRIPTORS.iterdir()))


_samplers = PerLoop(Sampler)


def start() -> None:
    """Look once a second from now on, on this event loop."""
    _samplers.get()


def stop() -> None:
    """Look no more (at the loop's end)."""
    sampler = _samplers.pop()
    if sampler is not None:
        sampler.close()
