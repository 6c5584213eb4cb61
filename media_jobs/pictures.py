"""What bytes are: PNG, JPEG, WebP or GIF, of which size, whole, one frame. Nothing else gets in.

The size is read from the header by hand, before any decoder sees the bytes: Pillow allocates for a
WebP's canvas as it opens it, and a picture of 2 KB can ask for gigabytes. Only what is small enough
is decoded, once, to know that it is whole, and in a process of its own: `media_jobs.decoding` is
never imported here. Where pictures come from is `media_jobs.inputs`.

Sources: PNG https://www.w3.org/TR/png-3/, JPEG ITU-T T.81 annex B, GIF
https://www.w3.org/Graphics/GIF/spec-gif89a.txt, WebP RFC 9649.
"""

import asyncio
import struct

import msgspec

from ccapi.core.confined.bench import Bench, Limits, NotDone

PIXELS_MAX = 40_000_000
SIDE_MAX = 16_384
MEBIBYTE = 1024 * 1024
SEGMENTS_MAX = 20_000  # chunks, segments and blocks before the header must be complete
BLOCKS_MAX = 200_000  # of a GIF, whose data come in at most 255 bytes each
# A progressive JPEG decodes the whole picture once more for every scan; ten are usual.
SCANS_MAX = 256

_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP", "image/gif": "GIF"}
_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}

AT_A_TIME = 2  # in a process: one that takes long keeps nobody waiting
# Measured with 40 million pixels of noise: 3.7 s (PNG), 650 MB (WebP).
CHECK = Limits(seconds=10.0, memory_bytes=768 * MEBIBYTE, answer_bytes=0)

_bench = Bench("media_jobs.decoding", at_a_time=AT_A_TIME)
_WHY = {
    "refused": "it is broken or cut short",
    "memory": "it takes too much memory to decode",
    "time": "it takes too long to decode",
    "died": "it cannot be decoded",
    "failed": "it cannot be decoded",
}


class NotAPicture(ValueError):
    """The message is half a sentence: "it is cut short"."""


class Header(msgspec.Struct, frozen=True):
    media_type: str
    width: int
    height: int

    @property
    def format(self) -> str:
        """As Pillow calls it."""
        return _FORMATS[self.media_type]


def extension(media_type: str) -> str:
    return _EXTENSIONS.get(media_type, "bin")


def header(data: bytes) -> Header:
    """Type and size, by the first bytes. Raises: NotAPicture, also for more than one frame."""
    try:
        found = _header(data)
    except (struct.error, IndexError):
        raise NotAPicture("it is cut short") from None
    if found is None:
        raise NotAPicture("it is no PNG, JPEG, WebP or GIF")
    if found.width < 1 or found.height < 1:
        raise NotAPicture("it has no pixels")
    return found


async def check(data: bytes) -> Header:
    """The header of a picture that is small enough, and whole.

    Raises: NotAPicture; Overloaded where nothing can be decoded just now.
    """
    found = await small(data)
    await decoded("check", data, found, limits=CHECK)
    return found


async def small(data: bytes) -> Header:
    """The header of a picture that is small enough to be decoded. Raises: NotAPicture."""
    return await asyncio.to_thread(_small, data)  # by hand, and for a GIF to its end


def _small(data: bytes) -> Header:
    found = header(data)
    if max(found.width, found.height) > SIDE_MAX or found.width * found.height > PIXELS_MAX:
        raise NotAPicture(
            f"it has {found.width} x {found.height} pixels; at most {PIXELS_MAX // 1_000_000}"
            f" million, and {SIDE_MAX} a side"
        )
    if found.format == "JPEG" and data.count(b"\xff\xda") > SCANS_MAX:
        raise NotAPicture("it has too many scans")
    return found


async def decoded(
    function: str, data: bytes, found: Header, *, limits: Limits, **arguments: str
) -> bytes:
    """What a function of `media_jobs.decoding` makes of a small picture.

    `found` is the data's header. Raises: NotAPicture, Overloaded.
    """
    try:
        return await _bench.run(function, data, limits=limits, kind=found.format, **arguments)
    except NotDone as error:
        raise NotAPicture(_WHY[error.reason]) from error


def keeper_pid() -> int | None:
    """The process whose children decode for us, once one was needed."""
    return _bench.keeper_pid


def _header(data: bytes) -> Header | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _gif(data)
    return None


def _png(data: bytes) -> Header:
    length, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    if kind != b"IHDR" or length != 13:
        raise NotAPicture("it is no PNG after all")
    at = 8
    for _ in range(SEGMENTS_MAX):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"acTL" and struct.unpack_from(">I", data, at + 8)[0] > 1:
            raise _animated()
        if kind == b"IDAT":
            return Header("image/png", width, height)
        at += 12 + length
    raise NotAPicture("it has too many chunks")


def _jpeg(data: bytes) -> Header:
    at = 2
    for _ in range(SEGMENTS_MAX):
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        if data[at] != 0xFF:
            raise NotAPicture("it is broken")
        marker = data[at + 1]
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # markers without a segment
            at += 2
            continue
        if marker in (0xD9, 0xDA):
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Header("image/jpeg", width, height)
        at += 2 + max(2, struct.unpack_from(">H", data, at + 2)[0])
    raise NotAPicture("it has no header")


def _webp(data: bytes) -> Header:
    if struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise NotAPicture("it is cut short")
    kind = data[12:16]
    if kind == b"VP8X":
        if data[20] & 0x02:
            raise _animated()
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8L" and data[20] == 0x2F:
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise NotAPicture("it is no WebP after all")
    return Header("image/webp", width, height)


def _gif(data: bytes) -> Header:
    """The screen's size, or what the frame makes of it: Pillow lets a frame grow the screen."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + _colours(flags)
    frames = 0
    left = BLOCKS_MAX
    while data[at] != 0x3B:
        if data[at] == 0x21:
            at, left = _past_blocks(data, at + 2, left)
        elif data[at] == 0x2C:
            frames += 1
            if frames > 1:
                raise _animated()
            x, y, across, down, flags = struct.unpack_from("<HHHHB", data, at + 1)
            width, height = max(width, x + across), max(height, y + down)
            at, left = _past_blocks(data, at + 10 + _colours(flags) + 1, left)
        else:
            raise NotAPicture("it is broken")
    if not frames:
        raise NotAPicture("it has no pixels")
    return Header("image/gif", width, height)


def _colours(flags: int) -> int:
    """The bytes of a colour table, by its flags."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _past_blocks(data: bytes, at: int, left: int) -> tuple[int, int]:
    """Where they end, and how many more there may be."""
    for used in range(left):
        size = data[at]
        if not size:
            return at + 1, left - used - 1
        at += 1 + size
    raise NotAPicture("it has too many blocks")


def _animated() -> NotAPicture:
    return NotAPicture("it is animated: one frame is taken, no more")
