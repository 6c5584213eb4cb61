"""Path rules, on the bytes that came: what a router, a proxy and a log must read alike.

Letters, digits, `.`, `_`, `~`, `-`, `:` and `@`; no empty segment, no `.` or `..`, nothing
percent-encoded but `/` and `:` inside the name of a model, which is what stands after `/models/`.
"""

import re
from urllib.parse import unquote_to_bytes

from ccapi.core.errors import InvalidRequest

PATH_BYTES_MAX = 2048
QUERY_BYTES_MAX = 8192

# Plain character classes: nothing to backtrack into.
_plain = re.compile(rb"/[A-Za-z0-9._~/:@-]*").fullmatch
_encoded = re.compile(rb"[A-Za-z0-9._~/:@-]|%2[Ff]|%3[Aa]")
_model_name = re.compile(
    rb"/(?!admin/|portal/)(?:[a-z0-9-]+/)?(?:compat(?:_mode)?/)?(?:v1/|v1beta/)?models/"
)
_dots = re.compile(rb"/\.\.?(?:/|$)").search
_query = re.compile(rb"[!-~]*").fullmatch


def check_path(raw: bytes) -> None:
    """Raises: InvalidRequest for a path that could be read in two ways."""
    if len(raw) > PATH_BYTES_MAX:
        raise InvalidRequest(f"The path is longer than {PATH_BYTES_MAX} bytes.")
    path = raw
    if _plain(raw) is None:
        path = _decoded(raw)
    if b"//" in path or (b"/." in path and _dots(path)):
        raise InvalidRequest("The path has an empty segment, or one of dots.")


def _decoded(raw: bytes) -> bytes:
    named = _model_name.match(raw)
    if named is None or _encoded.sub(b"", raw[named.end() :]):
        raise InvalidRequest(
            "The path has characters that are not taken; %2F and %3A are, in a model's name."
        )
    return unquote_to_bytes(raw)


def check_query(query: bytes) -> None:
    """Raises: InvalidRequest."""
    if len(query) > QUERY_BYTES_MAX:
        raise InvalidRequest(f"The query is longer than {QUERY_BYTES_MAX} bytes.")
    if _query(query) is None or b"%00" in query:
        raise InvalidRequest("The query has a control character, or one beyond ASCII.")
