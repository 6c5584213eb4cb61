"""`Retry-After` of an upstream, in whatever form it came.

Source: RFC 9110, section 10.2.3; OpenAI's `retry-after-ms`.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRY_AFTER_S_MAX = 24 * 3600.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from 0 to a day: milliseconds where told so, else seconds or an HTTP date.

    None where there is none, or where it makes no sense. `headers` has lower-case names.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    text = headers.get("retry-after")
    if not text:
        return None
    seconds = _number(text)
    if seconds is None:
        try:
            at = parsedate_to_datetime(text.strip())
        except (ValueError, OverflowError):  # a year of twenty digits, for one
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        seconds = (at - datetime.now(UTC)).total_seconds()
    return _bounded(seconds)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _bounded(seconds: float) -> float | None:
    return None if math.isnan(seconds) else min(max(seconds, 0.0), RETRY_AFTER_S_MAX)
