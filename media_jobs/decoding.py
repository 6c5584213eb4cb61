"""Pictures decoded and written anew, by Pillow: in a confined process, and imported nowhere else.

`ccapi.core.confined` runs these functions, which take a picture's bytes and its format, that its
header has told (`media_jobs.pictures`), and give bytes. What they decide is only how pixels become
other pixels; what is wanted, and whether it may be, is known to `media_jobs.drivers.conversion`.

Everything that Pillow would import as it goes is imported here: a confined process opens nothing.
"""

import contextlib
import copy  # noqa: F401 - see above
import errno
import io
import struct
import zlib
from collections.abc import Iterator

from PIL import (  # noqa: F401 - see above
    Image,
    ImageChops,
    ImageFile,
    ImageOps,
    ImagePalette,
    ImageSequence,
    MpoImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from ccapi.core.confined.wire import Refused

# What Pillow's decoders raise for broken bytes.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
Image.preinit()  # the other three formats
_WHITE = (255, 255, 255)


def check(data: bytes, *, kind: str) -> bytes:
    """Nothing, where it is whole. Raises: Refused."""
    with _broken_refused(), Image.open(io.BytesIO(data), formats=[kind]) as image:
        if kind == "JPEG":
            # Every coefficient is still read, into an eighth of the sides.
            image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
    return b""


def written_as(data: bytes, *, kind: str, wanted: str) -> bytes:
    """The same in another format: PNG, JPEG (on white) or WEBP."""
    image = _loaded(data, kind)
    if not image.has_transparency_data:
        return _written(image.convert("RGB"), wanted)
    drawn = image.convert("RGBA")
    del image
    if wanted != "JPEG":
        return _written(drawn, wanted)
    ground = Image.new("RGB", drawn.size, _WHITE)
    ground.paste(drawn, mask=drawn.getchannel("A"))
    del drawn
    return _written(ground, wanted)


def transparent_mask(data: bytes, *, kind: str) -> bytes:
    """A PNG, transparent where a mask is, or else where it is white."""
    mask = _loaded(data, kind)
    if mask.has_transparency_data:
        return data if kind == "PNG" else _written(mask.convert("RGBA"), "PNG")
    kept = ImageOps.invert(mask.convert("L"))
    del mask
    drawn = Image.new("RGBA", kept.size)
    drawn.putalpha(kept)
    return _written(drawn, "PNG")


def painted_mask(data: bytes, *, kind: str, changes: str) -> bytes:
    """A PNG in black and white, of one colour where a mask is transparent, or else white."""
    mask = _loaded(data, kind)
    if mask.has_transparency_data:
        white = ImageOps.invert(mask.convert("RGBA").getchannel("A"))
    else:
        white = mask.convert("L")
    return _written(white if changes == "white" else ImageOps.invert(white), "PNG")


def _loaded(data: bytes, kind: str) -> Image.Image:
    """Raises: Refused."""
    with _broken_refused():
        image = Image.open(io.BytesIO(data), formats=[kind])
        image.load()
    return image


@contextlib.contextmanager
def _broken_refused() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno == errno.EMFILE:
            raise  # something is imported late: that is ours, and not the picture's
        raise Refused("broken") from None


def _written(image: Image.Image, kind: str) -> bytes:
    written = io.BytesIO()
    quality = {} if kind == "PNG" else {"quality": 95}
    image.save(written, format=kind, **quality)
    return written.getvalue()
