"""Fake vendors of pictures: what the three of them have in common.

A vendor is an upstream that answers by its own rules, as its documentation says, instead of by a
script; what is queued by `next` comes first, once each, for whatever else can go wrong. Its
pictures are real PNGs of the size that was asked for.
"""

import io
from collections.abc import Mapping
from functools import lru_cache
from typing import Self
from urllib.parse import urlsplit

import msgspec
from PIL import Image

from tests.fakes.steps import Script, reply
from tests.fakes.upstream import Recorded, Upstream


class Refused(Exception):
    """A request that the vendor's API does not take."""

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.script = answer(status, body, headers)


class Vendor(Upstream):
    """One vendor's API at `base_url`; it knows one key."""

    prefix = "/v1"

    def __init__(self, *, key: str = "vendor-key-1") -> None:
        super().__init__()
        self.key = key
        self._queue: list[tuple[str, Script]] = []

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    @property
    def base_url(self) -> str:
        return self.url + self.prefix

    def next(self, *scripts: Script, at: str = "") -> "Vendor":
        """For the next requests, in order, whose path has `at` in it."""
        self._queue += [(at, script) for script in scripts]
        return self

    def reset(self) -> None:
        super().reset()
        self._queue.clear()

    def paths(self) -> list[str]:
        """Method and path of every request so far."""
        return [f"{request.method} {request.path}" for request in tuple(self.requests)]

    def serve(self, request: Recorded, path: str) -> Script:
        """The answer by the vendor's rules. Raises: Refused."""
        raise NotImplementedError

    def _script_for(self, request: Recorded) -> Script:
        self.requests.append(request)
        for position, (at, script) in enumerate(self._queue):
            if at in request.path:
                del self._queue[position]
                return script
        try:
            return self.serve(request, urlsplit(request.path).path)
        except Refused as refused:
            return refused.script


def answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> Script:
    return reply(status, msgspec.json.encode(body), headers=dict(headers or {}))


@lru_cache(maxsize=64)
def png(width: int, height: int, shade: int = 0) -> bytes:
    """A real picture; the shade makes it another one."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    image.paste((shade * 37 % 256, shade * 91 % 256, 128), (0, 0, max(1, width // 4), height))
    written = io.BytesIO()
    image.save(written, "PNG", compress_level=1)
    return written.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
