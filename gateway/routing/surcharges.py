"""Parameters with which a provider charges another price than the catalog's.

The catalog's snapshot has one price a model. A request that a provider would bill by another list
(a priority tier, a fast mode, a region with a surcharge) would be sold below its cost or above its
worth, so it is refused, naming the parameter, rather than sent.

Source: the vendors' pricing pages: OpenAI "Service tiers", Anthropic "Fast mode" and "Data
residency pricing".
"""

import msgspec

from ccapi.core.errors import UnsupportedParameter
from gateway.ir.request import Raw, Request

# Protocol → field → values at the catalog's own price.
USUAL: dict[str, dict[str, frozenset[str | None]]] = {
    "openai": {"service_tier": frozenset({None, "auto", "default", "standard"})},
    "openai_responses": {"service_tier": frozenset({None, "auto", "default", "standard"})},
    "anthropic": {
        "service_tier": frozenset({None, "auto", "standard_only"}),
        "speed": frozenset({None, "standard"}),
        "inference_geo": frozenset({None, "global"}),
    },
}


def check(request: Request) -> None:
    """Raises: UnsupportedParameter for a value that has another price."""
    for protocol, fields in USUAL.items():
        asked = request.extras.get(protocol, {})
        for name, usual in fields.items():
            if name in asked and _text(asked[name]) not in usual:
                allowed = ", ".join(sorted(repr(value) for value in usual if value))
                raise UnsupportedParameter(
                    f"`{name}` may be {allowed}: other values have a price of their own, which"
                    " this catalog does not offer yet.",
                    param=name,
                )


def _text(raw: Raw) -> object:
    value = msgspec.json.decode(raw)
    return value if isinstance(value, str) or value is None else "?"
