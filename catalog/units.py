"""What prices are named by and how they are written; protocols, ways to send a key, names."""

import re
from decimal import Decimal

# Dollars per million of these …
PER_MILLION = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "input_audio",
    "output_audio",
    "input_image",
    "output_image",
    "input_characters",
)
# … and per one of these.
EACH = ("image", "audio_seconds", "request", "web_search")
UNITS = PER_MILLION + EACH
PER: dict[str, int] = dict.fromkeys(PER_MILLION, 1_000_000) | dict.fromkeys(EACH, 1)

MODEL_TYPES = ("chat", "image", "audio", "embedding")
# What a customer's request must meet a price for, by type of model.
REQUIRED_UNITS: dict[str, tuple[str, ...]] = {"chat": ("input", "output"), "embedding": ("input",)}

PROTOCOLS = ("openai", "openai_responses", "anthropic", "gemini", "ollama")
# Protocols that have a codec in this version.
SPOKEN = frozenset({"openai", "openai_responses", "anthropic", "ollama", "gemini"})
AUTH = re.compile(r"bearer|x-api-key|x-goog-api-key|api-key|query:[A-Za-z0-9_.-]+|none")

PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MODEL_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}/[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,134}")

DECIMALS = 12
PRICE_MAX = Decimal(10) ** 9
_PLAIN = re.compile(r"\d{1,12}(\.\d+)?")


def price(value: object) -> Decimal:
    """Dollars as written, exactly.

    Raises: ValueError for floats, negatives, exponents, and what is finer than 12 decimals.
    """
    text = "" if isinstance(value, bool | float) else str(value)
    if not _PLAIN.fullmatch(text):
        raise ValueError(f'must be dollars in quotes, such as "0.15", not {value!r}')
    number = Decimal(text)
    if len(text.partition(".")[2].rstrip("0")) > DECIMALS:
        raise ValueError(f"has more than {DECIMALS} decimals: {value!r}")
    if number > PRICE_MAX:
        raise ValueError(f"is beyond {PRICE_MAX} dollars: {value!r}")
    return number


def written(number: Decimal) -> str:
    """The shortest plain text of a price with at least two decimals: `0.15`, `2.00`, `0.0375`."""
    whole, _, fraction = f"{number:f}".partition(".")
    return f"{whole}.{fraction.rstrip('0'):0<2}"


def variant(name: str) -> dict[str, str]:
    """`flex` → a service tier, `1024x1024/hd` → an image's size and quality."""
    size, _, quality = name.partition("/")
    if re.fullmatch(r"\d+x\d+|auto", size):
        return {"size": size, "quality": quality} if quality else {"size": size}
    return {"service_tier": name}


def variant_name(fields: dict[str, str]) -> str:
    """The other way round; "" for no variant."""
    if "size" in fields:
        return "/".join(fields[key] for key in ("size", "quality") if key in fields)
    return fields.get("service_tier", "")
