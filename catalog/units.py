"""What prices are named by and how they are written; protocols, ways to send a key, names."""

import re
from collections.abc import Iterable
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
TOKENS = frozenset(PER_MILLION) - {"input_characters"}
# … and per one of these.
EACH = ("image", "audio_seconds", "request", "web_search")
UNITS = PER_MILLION + EACH
PER: dict[str, int] = dict.fromkeys(PER_MILLION, 1_000_000) | dict.fromkeys(EACH, 1)

MODEL_TYPES = ("chat", "image", "audio", "embedding")
# What a customer's request must meet a price for, by type of model: one of these sets, whole.
REQUIRED_UNITS: dict[str, tuple[tuple[str, ...], ...]] = {
    "chat": (("input", "output"),),
    "embedding": (("input",),),
    "image": (("image",), ("input", "output_image"), ("input", "output")),
    "audio": (
        ("input_characters",),
        ("input", "output_audio"),
        ("input", "output"),
        ("audio_seconds",),
    ),
}

# Protocols that chat models are called in, and those that only pictures or speech are made in.
CHAT_PROTOCOLS = ("openai", "openai_responses", "anthropic", "gemini", "ollama")
MEDIA_PROTOCOLS = ("elevenlabs", "replicate")
PROTOCOLS = CHAT_PROTOCOLS + MEDIA_PROTOCOLS
# Protocols that this version speaks.
SPOKEN = frozenset(PROTOCOLS)
AUTH = re.compile(r"bearer|x-api-key|x-goog-api-key|xi-api-key|api-key|query:[A-Za-z0-9_.-]+|none")

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


def missing(kind: str, named: Iterable[str]) -> str:
    """What prices of a model lack, in words; "" for nothing."""
    there = set(named)
    sets = REQUIRED_UNITS.get(kind, ())
    if not sets or any(there.issuperset(each) for each in sets):
        return ""
    if len(sets) == 1:
        return ", ".join(unit for unit in sets[0] if unit not in there)
    return " or ".join(" with ".join(each) for each in sets)


def unit_of(named: Iterable[str]) -> str:
    """What most of these prices are for, as customers are told it; the others are each."""
    there = set(named)
    for unit, word in (
        ("input_characters", "per_million_characters"),
        ("image", "per_image"),
        ("audio_seconds", "per_second"),
    ):
        if unit in there and not there & TOKENS:
            return word
    return "per_million_tokens"


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
