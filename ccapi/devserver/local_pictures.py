"""The local pictures: abstract art out of a random network, seeded by the prompt.

A CPPN: a small network that makes a colour of each point's place. Its weights are drawn from a
generator seeded by the SHA-256 of prompt, seed and number, so that the same request gives the same
picture. It does not depict the prompt, and says so.
"""

import hashlib
import io
from typing import Any

import numpy as np
from PIL import Image

MODEL = "abstract-1"
SAYS = (
    "Abstract art, made offline by a random network that the prompt seeds; it does not depict the"
    " prompt: {prompt}"
)
SIDE_MAX = 2048
PIXELS_MAX = 2048 * 1024
FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}

_WIDTH = 24  # of each layer
_LAYERS = 4
_ROWS = 64  # at a time
_Floats = np.ndarray[Any, np.dtype[np.float32]]


def picture(prompt: str, *, seed: int | None, number: int, width: int, height: int) -> Image.Image:
    told = f"{prompt}\0{'' if seed is None else seed}\0{number}".encode()
    draw = np.random.default_rng(list(hashlib.sha256(told).digest()))
    inputs = 6
    first = draw.normal(0, 1.6, (inputs, _WIDTH)).astype(np.float32)
    inner = [
        draw.normal(0, 1.1 / np.sqrt(_WIDTH) * 2.2, (_WIDTH, _WIDTH)).astype(np.float32)
        for _ in range(_LAYERS)
    ]
    last = draw.normal(0, 1.5 / np.sqrt(_WIDTH) * 2.0, (_WIDTH, 3)).astype(np.float32)
    phase = draw.uniform(0, 2 * np.pi, 2).astype(np.float32)
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _ROWS):
        rows = min(_ROWS, height - top)
        layer: _Floats = np.tanh(_places(width, height, top, rows, phase) @ first)
        for weights in inner:
            layer = np.tanh(layer @ weights)
        colours = 255.0 / (1.0 + np.exp(-layer @ last))
        pixels[top : top + rows] = colours.reshape(rows, width, 3).astype(np.uint8)
    return Image.fromarray(pixels, "RGB")


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, FORMATS[kind])
    return file.getvalue()


def _places(width: int, height: int, top: int, rows: int, phase: _Floats) -> _Floats:
    """What the network knows of each point of some rows: where it is, and how far out."""
    side = max(width, height)
    y, x = np.mgrid[top : top + rows, 0:width].astype(np.float32)
    x = (2 * x - width) / side
    y = (2 * y - height) / side
    radius = np.sqrt(x * x + y * y)
    waves = (np.sin(5 * x + phase[0]), np.sin(5 * y + phase[1]))
    return np.stack([x, y, radius, *waves, np.ones_like(x)], axis=-1).reshape(-1, 6)
