"""Sizes and aspect ratios: one made of the other where that is exact, refused where it is not."""

from collections.abc import Iterable
from math import gcd, isqrt

from ccapi.core.errors import UnsupportedParameter
from media_jobs.types import ImageRequest


def size_of(request: ImageRequest) -> str:
    """`1024x1024`, as it was asked for; "" where it was not."""
    if request.width is None or request.height is None:
        return ""
    return f"{request.width}x{request.height}"


def ratio_of(width: int, height: int) -> str:
    """In lowest terms."""
    common = gcd(width, height)
    return f"{width // common}:{height // common}"


def lowest(ratio: str) -> str:
    """`21:9` → `7:3`, to compare."""
    across, _, down = ratio.partition(":")
    return ratio_of(int(across), int(down))


def sides(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    return int(width), int(height)


def largest(ratio: str, *, multiple: int, pixels_max: int) -> str:
    """The largest size of exactly this ratio, its sides such multiples; "" for none."""
    across, _, down = ratio.partition(":")
    common = gcd(int(across), int(down))
    unit = int(across) // common * multiple, int(down) // common * multiple
    times = isqrt(pixels_max // (unit[0] * unit[1]))
    return f"{unit[0] * times}x{unit[1] * times}" if times else ""


def of_ratio(sizes: Iterable[str], ratio: str) -> str:
    """The largest of these sizes that has exactly this ratio; "" for none."""
    same = [size for size in sizes if ratio_of(*sides(size)) == lowest(ratio)]
    return max(same, key=lambda size: sides(size)[0], default="")


def refuse(param: str, message: str, allowed: Iterable[str] = ()) -> UnsupportedParameter:
    """The error, to be raised; it names what is allowed."""
    values = list(allowed)
    told = f"{message} Allowed: {', '.join(values)}." if values else message
    return UnsupportedParameter(told, param=param, details={"allowed": values} if values else None)
