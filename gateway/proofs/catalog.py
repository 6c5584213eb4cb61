"""The catalog of the proofs: which providers there are, and what their models cost."""

from gateway.proofs.records import PRICES, Addresses

CALM = {"oak": "openai", "elm": "anthropic"}  # these answer well
ROUGH = {"north": "openai", "east": "openai", "south": "anthropic", "west": "anthropic"}
CLOSED = "closed"  # refuses every connection
VARIANTS = 12  # models of each rough provider: a circuit breaker that opens must not end the test

EXACT_NANO = 10_000_000  # what one request to an exact model holds and costs: a cent
EXACT_TOKENS = 10
EXACT = [f"{name}/exact" for name in CALM]
STEADY = [f"{name}/steady" for name in CALM]
FAILING = [f"{name}/m{number}" for name in ROUGH for number in range(VARIANTS)]
FAILING += [f"{CLOSED}/m{number}" for number in range(VARIANTS // 2)]

_PATIENT = {"first_byte": 40, "first_byte_with_alternative": 40, "idle": 40, "total": 50}
# A whole answer of the last provider may take as long as `total`.
_BRISK = {"first_byte": 2, "first_byte_with_alternative": 1, "idle": 1, "total": 4}


def document(addresses: Addresses) -> dict[str, object]:
    """As a catalog file has it."""
    calm = [_provider(name, kind, addresses.open, _PATIENT) for name, kind in CALM.items()]
    rough = [_provider(name, kind, addresses.open, _BRISK) for name, kind in ROUGH.items()]
    closed = _provider(CLOSED, "openai", addresses.closed, _BRISK)
    # Nothing in and a tenth of a cent a token out: every request costs just what it holds.
    exact = {"input": "0", "output": "1000"}
    return {
        "providers": [*calm, *rough, closed],
        "models": [_model(name, exact) for name in EXACT]
        + [_model(name, PRICES) for name in (*STEADY, *FAILING)],
    }


def _provider(name: str, protocol: str, url: str, timeouts: dict[str, int]) -> dict[str, object]:
    return {
        "name": name,
        "protocol": protocol,
        "base_url": f"{url}/{name}/v1",
        "api_key": f"proof-secret-of-{name}",
        "enabled": True,
        "timeouts": {"connect": 3, **timeouts},
    }


def _model(name: str, prices: dict[str, str]) -> dict[str, object]:
    return {
        "id": name,
        "type": "chat",
        "context_length": 8192,
        "max_output_tokens": 1000,
        "capabilities": ["streaming"],
        "input_modalities": ["text"],
        "output_modalities": ["text"],
        "prices": prices,
    }
