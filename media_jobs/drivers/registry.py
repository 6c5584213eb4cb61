"""The drivers, by the protocol of the providers that they call."""

from media_jobs.drivers.base import Driver
from media_jobs.drivers.gemini import Gemini
from media_jobs.drivers.openai import OpenAI
from media_jobs.drivers.replicate import Replicate

_DRIVERS: dict[str, Driver] = {driver.name: driver for driver in (OpenAI(), Gemini(), Replicate())}


def driver_for(protocol: str) -> Driver | None:
    """None for a protocol that makes no pictures."""
    return _DRIVERS.get(protocol)
