"""Forms with files (multipart/form-data), as clients of image APIs send them.

Source: RFC 7578
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_BOUNDARY = re.compile(r'multipart/form-data\s*;.*?boundary="?([^";,\s]{1,70})"?', re.IGNORECASE)
_NAME = re.compile(rb'content-disposition:[^\r\n]*?[;\s]name="([^"\r\n]*)"', re.IGNORECASE)
_FILE = re.compile(rb"content-disposition:[^\r\n]*?[;\s]filename\*?=", re.IGNORECASE)


class Part(NamedTuple):
    name: str
    data: bytes
    is_file: bool


def parts(content_type: str, body: bytes) -> Iterator[Part]:
    """Raises: ValueError for what is no form."""
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise ValueError("it is no multipart/form-data")
    first, *rest = (b"\r\n" + body).split(b"\r\n--" + found[1].encode())
    if not rest or not rest[-1].startswith(b"--"):
        raise ValueError("its last boundary is missing")
    del first
    for part in rest[:-1]:
        head, separator, data = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if not separator or name is None:
            raise ValueError("a part of it has no name")
        yield Part(name[1].decode("utf-8", "replace"), data, _FILE.search(head) is not None)
