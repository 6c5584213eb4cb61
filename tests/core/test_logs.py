import json
import logging
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts import keys
from ccapi.core import logs


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-abcdefghijklmnop",
        "sk-ant-api03-abcdefghijklmnop_-x",
        "xai-abcdefghijklmnop",
        "gsk_abcdefghijklmnop",
        "AIzaSyA1234567890abcdef",
        "whsec_abcdefghijklmnop+/==",
        "Bearer abcdef0123456789",
        "bearer abcdef0123456789==",
        "https://host/path?alt=sse&key=abcdefghijklmnop",
        "postgresql://user:abcdefghijklmnop@host/name",
    ],
)
def test_what_looks_like_a_secret_is_removed(text: str) -> None:
    for line in (
        text,
        f'{{"event":"x","field":"{text}"}}',
        f"\x1b[36mfield\x1b[0m=\x1b[35m{text}\x1b[0m",
    ):
        redacted = logs.redact(line)
        assert logs.REDACTED in redacted
        assert "abcdef" not in redacted


@given(st.text(), st.text())
def test_our_keys_are_removed_wherever_they_stand(before: str, after: str) -> None:
    secret = keys.make().text

    redacted = logs.redact(before + secret + after)

    assert secret[6:20] not in redacted


@pytest.mark.parametrize(
    "line",
    [
        "task-assignment of the risk-assessment",
        "send a Bearer token",
        '{"event":"exchange.finished","model":"openai/gpt-4o-mini","request_id":"req_0123456789abcdef"}',
        "https://host/path?monkey=banana",
        "disk-based-storage-is-full",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert logs.redact(line) == line


def test_known_secrets_are_removed_as_json_writes_them_too() -> None:
    value = 'pass"word\\of the tests'
    logs.register_secret(value)

    assert logs.redact(f"a {value} b") == "a [redacted] b"
    assert value[:4] not in logs.redact(json.dumps({"field": value}))


def test_short_values_are_not_known_secrets() -> None:
    logs.register_secret("ab")

    assert logs.redact("about") == "about"


PROGRAM = """
import logging
import django
django.setup()
from ccapi.core import logs
logs.setup()
log = logs.get_logger("test")
log.info("thing.happened", key="sk-cc-" + "A" * 46, number=2**70, tags={"a"})
log.debug("not.shown")
logging.getLogger("library").warning("a\\nb Bearer %s", "abcdefghijkl")
try:
    raise ValueError("sk-cc-" + "B" * 46)
except ValueError:
    log.exception("thing.failed")
"""


def run(form: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CCAPI_LOG_FORMAT", form)
    monkeypatch.setenv("CCAPI_LOG_LEVEL", "info")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ""
    return done.stderr


def test_each_event_is_one_json_object_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.loads(line) for line in run("json", monkeypatch).splitlines()]

    assert [line["event"] for line in lines] == [
        "thing.happened",
        "a\nb Bearer [redacted]",
        "thing.failed",
    ]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert lines[0]["key"] == "sk-cc-[redacted]"
    assert lines[1]["logger"] == "library"
    assert "ValueError: sk-cc-[redacted]" in lines[2]["exception"]


TOLD = """
import django
django.setup()
from ccapi.core import logs
logs.setup()
said = {"key": "sk-cc-" + "A" * 46, "number": 2**70, "tags": {"a"}, "none": None}
logs.get_logger("test").info("thing.happened", **said)
logs.tell("thing.happened", **said)
"""


def lines_of(program: str, *, form: str, level: str = "info") -> list[str]:
    """What a process of its own says, with its times made equal."""
    environment = os.environ | {"CCAPI_LOG_FORMAT": form, "CCAPI_LOG_LEVEL": level}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    assert done.stdout == ""
    return re.sub(r"20\d\d-[0-9T:.-]+Z", "<time>", done.stderr).splitlines()


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_each_request_tells_is_the_line_that_structlog_would_make(form: str) -> None:
    first, second = lines_of(TOLD, form=form)

    assert first == second
    assert "<time>" in first


def test_a_quiet_process_tells_nothing() -> None:
    assert lines_of(TOLD, form="json", level="warning") == []


def test_on_a_console_a_message_cannot_fake_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = run("console", monkeypatch)

    assert "a\\nb Bearer [redacted]" in text
    assert "A" * 46 not in text
    assert "B" * 46 not in text


def test_setting_up_again_adds_no_second_handler() -> None:
    logs.setup()
    before = list(logging.getLogger().handlers)
    logs.setup()

    assert logging.getLogger().handlers == before
