"""Makes a migrated database ready for whole-product tests: fake providers, accounts with credit.

Run as a process of its own (`python -m tests.e2e.prepare`), since it needs `DATABASE_URL` of that
database. Prints one JSON line: the accounts.
"""

import argparse
import json
import os
import sys

TIMEOUTS = {
    "connect": 1,
    "first_byte": 2,
    "first_byte_with_alternative": 1,
    "idle": 1,
    "total": 20,
}


OPENAI = ("alpha", "gamma", "drains", "dead", "measured")  # providers that speak its chat


def provider(name: str, protocol: str, url: str, **fields: object) -> dict[str, object]:
    return {
        "name": name,
        "display_name": name.title(),
        "protocol": protocol,
        "base_url": url,
        "api_key": f"upstream-secret-of-{name}",
        "enabled": True,
        "timeouts": TIMEOUTS,
        **fields,
    }


def model(model_id: str, **fields: object) -> dict[str, object]:
    return {
        "id": model_id,
        "upstream_model": model_id.replace("/", "-"),
        "type": "chat",
        "display_name": model_id,
        "context_length": 8192,
        "max_output_tokens": 1000,
        "capabilities": ["streaming", "function_calling"],
        "input_modalities": ["text"],
        "output_modalities": ["text"],
        "prices": {"input": "1.00", "output": "2.00"},
        **fields,
    }


def document(url: str, dead_url: str) -> dict[str, object]:
    """The catalog of the tests.

    Two OpenAI providers, two Anthropic ones, a dead one, one that drains.
    """
    return {
        "providers": [
            provider("alpha", "openai", f"{url}/v1"),
            provider("gamma", "openai", f"{url}/v1"),
            provider("beta", "anthropic", f"{url}/v1"),
            provider("delta", "anthropic", f"{url}/v1"),
            provider("gem", "gemini", f"{url}/v1beta"),
            provider("resp", "openai_responses", f"{url}/v1"),
            provider("drains", "openai", f"{url}/v1", on_disconnect="drain"),
            provider("measured", "openai", f"{url}/v1"),
            provider("dead", "openai", f"{dead_url}/v1"),
        ],
        "models": [model(f"{name}/one") for name in (*OPENAI, "beta", "delta", "gem", "resp")]
        + [
            model("alpha/two"),
            model("alpha/large", context_length=100_000),
            # Exact sums for the storm: nothing in, one dollar a million tokens out.
            model(
                "alpha/output-only", prices={"input": "0", "output": "1000"}, max_output_tokens=10
            ),
            model("alpha/recorded", context_length=1_000_000, max_output_tokens=200_000),
            model("beta/recorded", context_length=1_000_000, max_output_tokens=200_000),
            model("alpha/free", prices={"input": "0", "output": "0"}),
            model(
                "alpha/voice",
                type="audio",
                prices={"input_characters": "1.00"},
                output_modalities=["audio"],
            ),
            *(
                model(
                    f"{name}/vectors",
                    type="embedding",
                    prices={"input": "1.00"},
                    output_modalities=["embedding"],
                )
                for name in ("alpha", "gamma")
            ),
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--dead", required=True)
    parser.add_argument("--account", action="append", default=[], help="its credit, in dollars")
    parser.add_argument("--catalog", default="{}", help="more of a catalog's document, as JSON")
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ccapi.settings")

    import django

    django.setup()
    from catalog.api import import_document
    from tests.e2e.customers import make

    import_document(document(arguments.upstream, arguments.dead))
    if more := json.loads(arguments.catalog):
        import_document(more)
    sys.stdout.write(json.dumps(make(arguments.account)) + "\n")


if __name__ == "__main__":
    main()
