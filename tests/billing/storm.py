"""A process of a storm: asks for holds until it is told no, over connections of its own.

Run as `python storm.py SQL-URL ORGANIZATION KEY PRICE HOLDS AMOUNT SETTLE`; prints how many it got.
"""

import json
import sys
import threading
from typing import Any
from uuid import UUID

import psycopg

from ccapi.core.ids import uuid7

CONNECTIONS = 4
BATCH = 7


def item(request_id: UUID, organization: int, key: int, price: int, amount: int) -> dict[str, Any]:
    return {
        "request_id": str(request_id),
        "organization_id": organization,
        "key_id": key,
        "amount_nano": amount,
        "price_version_id": price,
        "model": "acme/one",
        "endpoint": "chat",
    }


def line(request_id: UUID, organization: int, key: int, price: int, tokens: int) -> dict[str, Any]:
    """A usage event of so many tokens of output at 2000 nano-dollars."""
    texts = "end_user endpoint protocol requested_model model provider provider_request_id"
    counts = (
        "input cache_read cache_write cache_write_1h input_audio input_image reasoning output_audio"
        " output_image web_searches input_tokens first_byte_ms latency_ms bytes_out"
    )
    return {
        **dict.fromkeys((texts + " error_code finish_reason").split(), ""),
        **dict.fromkeys(counts.split(), 0),
        "request_id": str(request_id),
        "organization_id": organization,
        "key_id": key,
        "price_version_id": price,
        "requests": 1,
        "output": tokens,
        "output_tokens": tokens,
        "stream": False,
        "attempts": [],
        "usage_source": 1,
        "price_snapshot": {
            "tier": 0,
            "rates": {"output": [2 * 10**12, 10**6]} if tokens else {},
        },
        "unpriced": [],
        "charge_nano": tokens * 2000,
        "cost_nano": tokens * 2000,
        "input_cost_nano": 0,
        "status": "ok",
        "http_status": 200,
        "outcome": 1,
    }


def main() -> None:
    url, *numbers, settle = sys.argv[1:]
    organization, key, price, holds, tokens = (int(number) for number in numbers)
    admitted: list[UUID] = []

    def work() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for _ in range(holds // CONNECTIONS // BATCH):
                ids = [uuid7() for _ in range(BATCH)]
                items = [item(i, organization, key, price, tokens * 2000) for i in ids]
                found = connection.execute(
                    "SELECT i, verdict FROM hold_batch_v1(%s, 60, 'storm')", [json.dumps(items)]
                ).fetchall()
                mine = [ids[i] for i, verdict in found if verdict == "held"]
                admitted.extend(mine)
                if mine and settle == "settle":
                    lines = [line(i, organization, key, price, tokens) for i in mine]
                    connection.execute(
                        "SELECT * FROM settle_batch_v2(%s, 'storm')", [json.dumps(lines)]
                    )

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(f"{len(admitted)}\n")


if __name__ == "__main__":
    main()
