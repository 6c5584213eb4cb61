"""Catalog documents for tests."""

from typing import Any


def provider(name: str, **fields: object) -> dict[str, Any]:
    return {
        "name": name,
        "display_name": name.title(),
        "protocol": "openai",
        "base_url": f"https://{name}.example/v1",
        "api_key": f"key-of-{name}-0123456789",
        **fields,
    }


def model(model_id: str, **fields: object) -> dict[str, Any]:
    return {
        "id": model_id,
        "display_name": model_id,
        "context_length": 8192,
        "max_output_tokens": 1024,
        "capabilities": ["streaming", "vision"],
        "input_modalities": ["text", "image"],
        "prices": {"input": "1.00", "output": "2.00"},
        **fields,
    }


def small() -> dict[str, Any]:
    """Two providers that share a name, one more that is off, one that waits for its key."""
    return {
        "providers": [
            provider("alpha", is_fundamental=True, website="https://alpha.example"),
            provider("beta"),
            provider("off", enabled=False),
            provider("waits", api_key="keep"),
        ],
        "models": [
            model("alpha/one", context_length=1000),
            model("alpha/two", prices={"input": "0.10", "output": "0.20"}, context_length=3000),
            model("beta/one", prices={"input": "5.00", "output": "5.00"}),
            model("beta/draw", type="image", prices={"image": "0.04"}, context_length=0),
            model("off/one"),
            model("waits/one"),
        ],
    }
