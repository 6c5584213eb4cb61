"""Providers of the catalog file: addresses, keys by environment reference, limits, time-outs."""

import re
from collections.abc import Mapping
from typing import Literal

from catalog import units
from catalog.file.entries import KEEP, ProviderEntry
from catalog.file.reading import Section

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")


def read_provider(section: Section, environ: Mapping[str, str], *, seed: bool) -> ProviderEntry:
    name = section.text("name", None, longest=64)
    if name and not units.PROVIDER_NAME.fullmatch(name):
        section.problem("name", f"must be lower-case letters, digits, - and _, not {name!r}")
    enabled = section.flag("enabled", default=True)
    protocol = section.choice("protocol", units.PROTOCOLS, "")
    if not protocol:
        section.problem("protocol", f"must be one of {', '.join(units.PROTOCOLS)}")
    elif enabled and not seed and protocol not in units.SPOKEN:
        section.problem(
            "protocol", f"{protocol!r} is not spoken by this version; use enabled: false"
        )
    needs_key = section.has("api_key")
    keys, variables = _api_keys(section, environ, wanted=enabled and not seed)
    auth = section.text("auth", longest=64)
    if auth and not units.AUTH.fullmatch(auth):
        section.problem("auth", f"is no way to send a key: {auth!r}")
    timeouts = section.section("timeouts")
    granted = section.section("limits")
    columns: dict[str, object] = {
        "display_name": section.text("display_name", name, longest=128) or name,
        "description": section.text("description", longest=4000),
        "website": section.text("website"),
        "is_fundamental": section.flag("is_fundamental", default=False),
        "protocol": protocol,
        "base_url": _base_url(section, environ, wanted=enabled and not seed),
        "needs_key": needs_key,
        "auth": auth,
        "query": _pairs(section.section("query"), _TOKEN),
        "headers": _pairs(section.section("headers"), _TOKEN),
        "enabled": enabled,
        "on_disconnect": section.choice("on_disconnect", ("cancel", "drain"), "cancel"),
        "connect_timeout_s": timeouts.seconds("connect", 3.0),
        "first_byte_timeout_s": timeouts.seconds("first_byte", 60.0),
        "first_byte_with_alternative_timeout_s": timeouts.seconds(
            "first_byte_with_alternative", 12.0
        ),
        "idle_timeout_s": timeouts.seconds("idle", 30.0),
        "total_timeout_s": timeouts.seconds("total", 900.0),
        **limits(granted, "", (0, 0, 0)),
    }
    timeouts.close()
    section.close()
    return ProviderEntry(
        path=section.path, name=name, columns=columns, api_keys=keys, key_variables=variables
    )


def _api_keys(
    section: Section, environ: Mapping[str, str], *, wanted: bool
) -> tuple[tuple[str, ...] | Literal["keep"], tuple[str, ...]]:
    """The keys to store, or KEEP, and the variables that they come from.

    A variable that is not set is a mistake where the provider is to be used, else nothing to store.
    """
    value = section.take("api_key")
    if value is None:
        return (), ()
    if value == KEEP:
        return KEEP, ()
    items: list[object] = value if isinstance(value, list) else [value]
    written = [key for key in items if isinstance(key, str) and key.strip()]
    if not written or len(written) != len(items):
        section.problem("api_key", "must be a key, ${NAME}, a list of those, or keep")
        return KEEP, ()
    keys, variables, complete = [], [], True
    for key in written:
        text, missing = _expand(key, environ)
        variables += _REFERENCE.findall(key)
        complete = complete and not missing
        if missing and wanted:
            section.problem("api_key", f"the environment variable {missing} is not set")
        elif not missing and not (text.isascii() and text.isprintable() and " " not in text):
            section.problem("api_key", "must be printable ASCII without spaces")
        keys.append(text)
    return (tuple(dict.fromkeys(keys)) if complete else KEEP), tuple(variables)


def _base_url(section: Section, environ: Mapping[str, str], *, wanted: bool) -> str:
    text, missing = _expand(section.text("base_url", None, longest=512), environ)
    if missing:
        if wanted:
            section.problem("base_url", f"the environment variable {missing} is not set")
        return ""
    return _checked_url(section, text)


def _checked_url(section: Section, text: str) -> str:
    if text and not is_base_url(text):
        section.problem(
            "base_url",
            f"must be http(s)://host/path without user, query and fragment, not {text!r}",
        )
    return text.rstrip("/")


def is_base_url(text: str) -> bool:
    return bool(_URL.fullmatch(text))


def _expand(text: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """`${NAME}` replaced by the environment's value; and the name of one that is not set."""
    missing = ""

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        found = environ.get(match[1], "").strip()
        missing = missing or ("" if found else match[1])
        return found

    return _REFERENCE.sub(value, text), missing


def _pairs(section: Section, names: re.Pattern[str]) -> dict[str, str]:
    pairs = {}
    for name in section.names():
        value = section.take(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not names.fullmatch(name):
            section.problem(name, "is no valid name")
        elif not isinstance(value, str) or not value.isprintable():
            section.problem(name, f"must be text on one line, not {value!r}")
        else:
            pairs[name] = value
    return pairs


def limits(section: Section, prefix: str, default: tuple[int, int, int]) -> dict[str, int]:
    names = ("rpm", "tpm", "concurrent")
    found = {
        prefix + name: section.whole(name, usual)
        for name, usual in zip(names, default, strict=True)
    }
    section.close()
    return found
