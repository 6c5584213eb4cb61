"""Logs: one event a line, as JSON for machines or readable for people, without secrets.

structlog writes our own events; the standard library's records (Django, uvicorn) end in
the same lines. The redactor works on the finished line, so that nothing slips by in a traceback, a
nested field or another library's message. What is worth logging is decided by who logs.
"""

import asyncio
import atexit
import json
import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar, cast
from urllib.parse import unquote, urlsplit

import orjson
import structlog
from django.conf import settings
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

REDACTED = "[redacted]"
# Shorter values would be found inside ordinary words; passwords in URLs have their own pattern.
KNOWN_LENGTH_MIN = 12

# A word begins here, or a colour of the console ends.
_START = r"(?:(?<![A-Za-z0-9])|(?<=\x1b\[\dm)|(?<=\x1b\[\d\dm))"
_SHAPES = re.compile(
    r"(sk-cc-)[A-Za-z0-9]+"
    r"|(whsec_)[A-Za-z0-9+/=]+"
    rf"|({_START}(?:(?:sk|xai|rk|pk)-|gsk_|sk_|AIza))[A-Za-z0-9_-]{{12,}}"
    r"|(bearer\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|([?&]key=)[^&\s\"'\\]+"
    r"|(://[^/\s:@\"']*:)[^/\s@\"']+(?=@)",
    re.IGNORECASE,
)
# Looking for these takes nanoseconds, the pattern microseconds; every match contains one of them.
_MARKS = ("sk-", "xai-", "rk-", "pk-", "sk_", "whsec_", "aiza", "bearer", "key=", "://")
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127)} | {10: "\\n", 13: "\\r"}
# What these libraries say at lower levels, a request's own line says better.
_QUIET = {
    "django.request": logging.ERROR,
    "asyncio": logging.ERROR,
    "httpx2": logging.WARNING,  # it tells whole URLs, in which some providers want their key
}

_known: set[str] = set()
_is_set_up = False
_is_direct = False  # whether `tell` writes its lines itself


_log = cast("FilteringBoundLogger", structlog.get_logger(__name__))


def get_logger(name: str) -> FilteringBoundLogger:
    return cast("FilteringBoundLogger", structlog.get_logger(name))


def tell(event: str, **fields: object) -> None:
    """One of ours at "info": the line that structlog would make, in one step where it is JSON.

    For what every request says: structlog's own steps take longer than what is said.
    """
    if not _is_direct:
        _log.info(event, **fields)
        return
    fields |= {"event": event, "level": "info", "timestamp": _clock.now()}
    _Stderr.write(redact(_dumps(fields, repr)))


def setup() -> None:
    """Set structlog and the standard library's logging up; the second call does nothing."""
    global _is_set_up, _is_direct  # noqa: PLW0603 — logging is one for the process, and so is this
    if _is_set_up:
        return
    _is_set_up = True
    _register_settings()
    level = logging.getLevelNamesMapping()[settings.CCAPI_LOG_LEVEL.upper()]
    _is_direct = settings.CCAPI_LOG_FORMAT == "json" and level <= logging.INFO
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _add_time,
    ]
    rendering = _rendering(settings.CCAPI_LOG_FORMAT)
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Stderr,
        cache_logger_on_first_use=True,
    )
    handler = _StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    atexit.register(_Stderr.flush)  # what the last turn of a loop said
    for library, quiet in _QUIET.items():
        logging.getLogger(library).setLevel(max(level, quiet))


def register_secret(value: str) -> None:
    """Never let this value stand in a line (nor as JSON would write it)."""
    if len(value) >= KNOWN_LENGTH_MIN:
        _known.update((value, json.dumps(value)[1:-1]))


def redact(line: str) -> str:
    """`line` without anything that is, or looks like, a secret."""
    for value in _known:
        if value in line:
            line = line.replace(value, REDACTED)
    lower = line.lower()
    if any(mark in lower for mark in _MARKS):
        line = _SHAPES.sub(lambda match: match[match.lastindex or 0] + REDACTED, line)
    return line


def _register_settings() -> None:
    own = (settings.SECRET_KEY, settings.CCAPI_KEY_PEPPER, settings.CCAPI_MASTER_KEY)
    for value in (*own, settings.CCAPI_ARTEFACT_S3_SECRET):
        register_secret(value)
    for url in (settings.DATABASE_URL, settings.REDIS_URL):
        register_secret(unquote(urlsplit(url).password or ""))


def _rendering(form: str) -> list[Processor]:
    if form == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
            _redact_rendered,
        ]
    colors = sys.stderr.isatty()
    return [_one_line, structlog.dev.ConsoleRenderer(colors=colors), _redact_rendered]


class _Clock:
    """The time as ISO 8601 in UTC, to the microsecond; the calendar is asked once a second."""

    def __init__(self) -> None:
        self._known = (-1, "")  # a second and its text, as one: threads share this clock

    def now(self) -> str:
        second, microseconds = divmod(time.time_ns() // 1_000, 1_000_000)
        known = self._known
        if known[0] != second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            known = self._known = (second, text)
        return f"{known[1]}.{microseconds:06}Z"


_clock = _Clock()


def _add_time(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = _clock.now()
    return event


def _dumps(event: EventDict, default: Callable[[Any], Any]) -> str:
    try:
        return orjson.dumps(event, default=default, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # numbers beyond 64 bits, lone surrogates: rare, so the slow way
        return json.dumps(event, default=repr)


def _one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    # A message that carries a line break could pass for a line of its own.
    event["event"] = str(event["event"]).translate(_CONTROL)
    return event


# structlog gives the last processor what the renderer made, which its types do not know.
def _redact_rendered(_: WrappedLogger, __: str, rendered: Any) -> str:  # noqa: ANN401
    return redact(str(rendered))


class _Stderr:
    """Where structlog's lines go. Looks `sys.stderr` up at each line, as tests exchange it.

    On an event loop the lines of one turn leave in one write: a write of its own for each line is
    half of what a line costs.
    """

    waiting: ClassVar[list[str]] = []

    def __init__(self, *_: object) -> None:
        pass

    @staticmethod
    def write(line: str) -> None:
        waiting = _Stderr.waiting
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            sys.stderr.write(line + "\n")
            return
        waiting.append(line)
        if len(waiting) == 1:
            loop.call_soon(_Stderr.flush)

    @staticmethod
    def flush() -> None:
        lines, _Stderr.waiting = _Stderr.waiting, []
        if lines:
            sys.stderr.write("\n".join(lines) + "\n")

    debug = info = warning = error = critical = exception = log = msg = write


class _StderrHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 — the contract of logging: a failing line fails nobody
            self.handleError(record)
