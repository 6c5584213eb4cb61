"""The catalog of the bench: the fake upstream as a provider of each protocol."""

from gateway.bench.wire import Protocol

MODELS: dict[Protocol, str] = {"openai": "bench-openai/fast", "anthropic": "bench-anthropic/fast"}
CREDIT = "1000000.00"
# All limits are on, and none is reached.
LIMITS = {"rpm": 100_000_000, "tpm": 2_000_000_000, "concurrent": 100_000}


def document(upstream_url: str) -> dict[str, object]:
    """As a catalog file has it."""
    return {
        "providers": [
            {
                "name": model.partition("/")[0],
                "protocol": protocol,
                "base_url": upstream_url,
                "api_key": "bench-secret",
                "enabled": True,
            }
            for protocol, model in MODELS.items()
        ],
        "models": [
            {
                "id": model,
                "type": "chat",
                "context_length": 128_000,
                "max_output_tokens": 16_384,
                "capabilities": ["streaming"],
                "input_modalities": ["text"],
                "output_modalities": ["text"],
                "prices": {"input": "0.15", "output": "0.60"},
            }
            for model in MODELS.values()
        ],
    }
