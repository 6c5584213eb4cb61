"""Speech on the shared product: fake vendors, the local voice itself, and what each sells."""

import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import soundfile

from tests.e2e.stack import Stack
from tests.fakes import speech
from tests.fakes.speech import Vendors
from tests.fakes.studio import studio

TEXT = "The quick brown fox jumps over the lazy dog."  # 44 characters
TIMEOUTS = {
    "connect": 1,
    "first_byte": 4,
    "first_byte_with_alternative": 1,
    "idle": 1,
    "total": 20,
}
DOLLARS = {"spoken": "10.00", "plain": "20.00", "drained": "10.00", "local": "0.10"}  # a million


def catalog(url: str, studio_url: str) -> dict[str, Any]:
    def provider(name: str, protocol: str, key: str, **more: object) -> dict[str, object]:
        return {
            "name": name,
            "display_name": name.title(),
            "protocol": protocol,
            "base_url": f"{url}/{protocol}/v1",
            "api_key": key,
            "enabled": True,
            "timeouts": TIMEOUTS,
            **more,
        }

    def model(name: str, upstream: str, **prices: str) -> dict[str, object]:
        return {
            "id": name,
            "upstream_model": upstream,
            "type": "audio",
            "display_name": name,
            "output_modalities": ["audio"],
            "prices": prices,
        }

    return {
        "providers": [
            provider("eleven", "elevenlabs", speech.ELEVENLABS_KEY),
            provider("drained", "elevenlabs", speech.ELEVENLABS_KEY, on_disconnect="drain"),
            provider("plain", "openai", speech.OPENAI_KEY),
            provider("other", "openai", speech.OPENAI_KEY),
            provider("studio", "openai", "not-looked-at", base_url=f"{studio_url}/v1", auth="none"),
        ],
        "models": [
            model("eleven/spoken", "eleven_turbo_v2", input_characters=DOLLARS["spoken"]),
            model("drained/spoken", "eleven_turbo_v2", input_characters=DOLLARS["drained"]),
            model("plain/tts", "tts-1", input_characters=DOLLARS["plain"]),
            model("plain/tokens", "gpt-4o-mini-tts", input="0.60", output="12.00"),
            model("studio/heart", "hibari-heart", input_characters=DOLLARS["local"]),
            model("other/any", "some-voice", input_characters=DOLLARS["plain"]),
        ],
    }


IMPORT = """
import json, os, sys
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "ccapi.settings"
django.setup()
from catalog.api import import_document
import_document(json.loads(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def all_vendors(shared_stack: Stack) -> Iterator[Vendors]:
    with Vendors() as vendors, studio() as studio_url:
        shared_stack.python("-c", IMPORT, json.dumps(catalog(vendors.url, studio_url)))
        wait_for_model(shared_stack, "other/any")
        yield vendors


@pytest.fixture
def vendors(all_vendors: Vendors) -> Vendors:
    all_vendors.reset()
    return all_vendors


def wait_for_model(stack: Stack, name: str) -> None:
    """Until every web process has it."""
    account = stack.account()
    deadline = time.monotonic() + 10
    for web in stack.webs:
        with stack.http(account, web) as client:
            while client.get(f"/v1/models/{name}").status_code != 200:
                assert time.monotonic() < deadline, "the catalog has not come"
                time.sleep(0.05)


def asked(model: str = "plain/tts", **more: object) -> dict[str, Any]:
    return {"model": model, "input": TEXT, "voice": "alloy", **more}


def played(audio: bytes, *, rate: int | None = None) -> tuple[float, str, int]:
    """Seconds, container and rate, as a player finds them; `rate` of headless samples."""
    if rate is not None:
        samples, _ = soundfile.read(
            io.BytesIO(audio), samplerate=rate, channels=1, format="RAW", subtype="PCM_16"
        )
        return len(samples) / rate, "RAW", rate
    with soundfile.SoundFile(io.BytesIO(audio)) as file:
        samples = file.read()
        assert abs(samples).max() > 0.05, "silence"
        return len(samples) / file.samplerate, f"{file.format}/{file.subtype}", file.samplerate
