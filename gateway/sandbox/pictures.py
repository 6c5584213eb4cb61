"""Pictures out of the standard library: PNGs of flat colours that say what they are.

Sixteen fields of colours drawn from a seed, with the word SANDBOX across them where there is room;
the same seed is the same picture, byte by byte. Source: https://www.w3.org/TR/png-3/
"""

import hashlib
import re
import struct
import zlib
from functools import lru_cache
from typing import NamedTuple

SIDE_MIN, SIDE_MAX = 16, 4096  # pixels
SIDE_USUAL = 1024
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.ASCII)
_FIELDS = 4  # across, and down
_BLACK, _WHITE = 14, 15  # the last two of the palette
_TEXTS = (
    (b"Software", b"CCAPI sandbox"),
    (b"Description", b"Flat colours of the sandbox: drawn from the request, painted by no model."),
)
# Letters of five by seven, with a column between them.
_LETTERS = {
    "S": ("01111", "10000", "10000", "01110", "00001", "00001", "11110"),
    "A": ("01110", "10001", "10001", "11111", "10001", "10001", "10001"),
    "N": ("10001", "11001", "10101", "10101", "10011", "10001", "10001"),
    "D": ("11110", "10001", "10001", "10001", "10001", "10001", "11110"),
    "B": ("11110", "10001", "10001", "11110", "10001", "10001", "11110"),
    "O": ("01110", "10001", "10001", "10001", "10001", "10001", "01110"),
    "X": ("10001", "10001", "01010", "00100", "01010", "10001", "10001"),
}
_SPELT = tuple("0".join(_LETTERS[letter][row] for letter in "SANDBOX") for row in range(7))
_WIDTH = len(_SPELT[0])
_WORD = ("0" * _WIDTH, *_SPELT, "0" * _WIDTH)


class Size(NamedTuple):
    """In pixels."""

    width: int = SIDE_USUAL
    height: int = SIDE_USUAL

    @property
    def is_possible(self) -> bool:
        return SIDE_MIN <= min(self) <= max(self) <= SIDE_MAX


def size_of(text: str) -> Size:
    """Of `WIDTHxHEIGHT`. Raises: ValueError, in words, for what is none or too large or small."""
    found = _SIZE.fullmatch(text)
    size = Size(int(found[1]), int(found[2])) if found else Size(0, 0)
    if not size.is_possible:
        raise ValueError(f"A size is WIDTHxHEIGHT, {SIDE_MIN} to {SIDE_MAX} pixels a side.")
    return size


def seed_of(*parts: object) -> bytes:
    """Sixteen bytes that depend on all of them."""
    digest = hashlib.sha256()
    for part in parts:
        told = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        digest.update(struct.pack(">Q", len(told)) + told)
    return digest.digest()[:16]


@lru_cache(maxsize=16)
def png(width: int, height: int, seed: bytes) -> bytes:
    """Sides from SIDE_MIN to SIDE_MAX. A palette of 16 colours, four bits a pixel."""
    drawn = hashlib.shake_256(seed).digest(3 * _BLACK + _FIELDS * _FIELDS)
    palette = drawn[: 3 * _BLACK] + b"\x00\x00\x00" + b"\xff\xff\xff"
    fields = [each % _BLACK for each in drawn[3 * _BLACK :]]
    described = struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", described),
            *(_chunk(b"tEXt", name + b"\0" + text) for name, text in _TEXTS),
            _chunk(b"PLTE", palette),
            _chunk(b"IDAT", zlib.compress(_rows(width, height, fields), 6)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _rows(width: int, height: int, fields: list[int]) -> bytes:
    """All lines, each with the number of its filter (none). There are few different ones."""
    scale = 3 * width // (4 * _WIDTH)  # pixels a dot of the word; 0: no room for it
    tall = len(_WORD) * scale
    top = (height - tall) // 2
    lines: dict[tuple[int, int], bytes] = {}
    rows: list[bytes] = []
    for y in range(height):
        field = y * _FIELDS // height
        dots = (y - top) // scale if scale and 0 <= y - top < tall else -1
        line = lines.get((field, dots))
        if line is None:
            colours = fields[_FIELDS * field : _FIELDS * (field + 1)]
            line = lines[field, dots] = _line(
                width, colours, _WORD[dots] if dots >= 0 else "", scale
            )
        rows.append(line)
    return b"".join(rows)


def _line(width: int, colours: list[int], word: str, scale: int) -> bytes:
    pixels = bytearray(colours[x * _FIELDS // width] for x in range(width))
    if word:
        left = (width - _WIDTH * scale) // 2
        frame = min(scale, left)
        dots = bytes(_WHITE if dot == "1" else _BLACK for dot in word for _ in range(scale))
        ground = bytes((_BLACK,)) * frame
        pixels[left - frame : left + len(dots) + frame] = ground + dots + ground
    pixels += bytes(width % 2)
    return b"\0" + bytes(
        left << 4 | right for left, right in zip(pixels[::2], pixels[1::2], strict=True)
    )
