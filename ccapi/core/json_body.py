"""JSON bodies of REST requests: read within bounds, parsed strictly.

What Python's parser lets through and databases or recursion choke on is refused here: NaN and
Infinity, lone surrogates, NUL characters, nesting beyond `DEPTH_MAX`. Chat routes have parsers of
their own.
"""

from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.parsers import BaseParser

from ccapi.core.errors import InvalidJSON, RequestTooLarge
from ccapi.core.nesting import DEPTH_MAX, check_nesting


class StrictJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        _media_type: str | None = None,
        _context: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 — JSON is anything
        """The body's value. Raises: RequestTooLarge, InvalidJSON."""
        limit = settings.CCAPI_BODY_BYTES_MAX
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise RequestTooLarge(f"The body is larger than {limit} bytes.")
        return loads(body)


def loads(body: bytes) -> Any:  # noqa: ANN401 — JSON is anything
    """The value of a JSON text. Raises: InvalidJSON."""
    check_nesting(body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJSON(f"The body is not valid JSON: {error}.") from error
    _check(value)
    return value


def _check(value: object) -> None:
    """Level by level, without recursion. Raises: InvalidJSON."""
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        below: list[object] = []
        for each in level:
            if isinstance(each, dict):
                below += each.keys()
                below += each.values()
            elif isinstance(each, list):
                below += each
            elif isinstance(each, str) and "\0" in each:
                raise InvalidJSON("The body has a NUL character, which no field can hold.")
        if not below:
            return
        level = below
    raise InvalidJSON(f"The body is nested deeper than {DEPTH_MAX} levels.")
