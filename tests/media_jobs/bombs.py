"""Pictures that nobody should decode: small files that ask for much."""

import io
import struct
import zlib

from PIL import Image

from tests.fakes.vendors import png


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def plain(kind: str, width: int = 32, height: int = 16, mode: str = "RGB") -> bytes:
    return saved(Image.new(mode, (width, height), 90), kind)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_png(width: int, height: int) -> bytes:
    """A header alone, with a little data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def deflated_png(width: int, height: int) -> bytes:
    """A valid one, all black: a thousandth of its pixels' bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def texted_png(megabytes: int) -> bytes:
    """A small picture with compressed texts that unpack to so much."""
    data = png(16, 16)
    text = zlib.compress(bytes(0x20 for _ in range(1024)) * 1024 * megabytes, 9)
    texts = chunk(b"zTXt", b"Comment\0\0" + text) * 4
    return data[:33] + texts + data[33:]


def animated_gif(frames: int) -> bytes:
    """Frames of one pixel, by hand: 22 bytes each."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * frames + b"\x3b"


def growing_gif() -> bytes:
    """A screen of one pixel, and a frame as large as can be said."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    return (
        head + b"\x2c" + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x44\x01\x00\x3b"
    )


def huge_webp() -> bytes:
    """An extended header whose canvas has 16,384 pixels a side and more."""
    side = (1 << 24) - 1
    header = bytes(4) + side.to_bytes(3, "little") + side.to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + header
    return b"RIFF" + struct.pack("<I", len(body)) + body


def huge_jpeg() -> bytes:
    """A small one whose header says 65,500 a side."""
    data = bytearray(plain("JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65500, 65500)
    return bytes(data)


def scanned_jpeg(scans: int) -> bytes:
    """A progressive one with one of its scans so many times."""
    data = saved(Image.new("RGB", (64, 64), 90), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:-2] + data[start:-2] * scans + b"\xff\xd9"


def blocked_gif(blocks: int) -> bytes:
    """A comment of so many blocks of one byte, to be gone through one by one."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    return head + b"\x21\xfe" + b"\x01-" * blocks + b"\x00" + b"\x3b"


def slow_jpeg(side: int, scans: int) -> bytes:
    """A progressive one of one colour: every scan says little, and goes over all of it."""
    data = saved(Image.new("RGB", (side, side), 90), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:-2] + data[start:-2] * (scans - data.count(b"\xff\xda")) + b"\xff\xd9"
