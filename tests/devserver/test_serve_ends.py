"""How `manage.py serve` ends while it answers."""

import json
import signal
import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ccapi.devserver import processes
from tests.devserver import product
from tests.devserver.product import running

SHUTDOWN_S = 3.0


def stream(ready: dict[str, Any], model: str, begun: threading.Semaphore) -> str:
    """A whole stream; raises where it is cut off."""
    question = {"model": model, "messages": [{"role": "user", "content": "One two."}]}
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{ready['url']}/v1/chat/completions",
        data=json.dumps({**question, "stream": True}).encode(),
        headers={
            "Authorization": f"Bearer {ready['api_key']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        text: bytes = answer.readline()
        begun.release()
        rest: bytes = answer.read()
        return (text + rest).decode()


def test_answers_under_way_are_finished_or_ended_properly_before_it_ends(data: Path) -> None:
    port = processes.free_port()
    arguments = ("serve", "--json", "--no-local-models", "--workers", "2", "--port", str(port))
    models = ("sandbox/stall:1", "sandbox/endless", "sandbox/stall:1", "sandbox/endless")
    told: dict[int, str] = {}
    begun = threading.Semaphore(0)
    with running(*arguments, data=data, CCAPI_SHUTDOWN_S=str(SHUTDOWN_S)) as command:
        ready = command.ready()
        before = settled(data)

        def read(number: int, model: str) -> None:
            told[number] = stream(ready, model, begun)

        readers = [
            threading.Thread(target=read, args=(number, model), daemon=True)
            for number, model in enumerate(models)
        ]
        for reader in readers:
            reader.start()
        for _ in readers:
            assert begun.acquire(timeout=20)
        command.process.send_signal(signal.SIGTERM)
        for reader in readers:
            reader.join(20)
        code = command.process.wait(30)
        said = command.told()
        after = settled(data)

    assert code == 0
    assert after == (before[0] + len(models), 0)
    assert ["[DONE]" in told[number] for number in range(4)] == [True, False, True, False]
    assert ['"error"' in told[number] for number in range(4)] == [False, True, False, True]
    assert "killed" not in said
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def settled(data: Path) -> tuple[int, int]:
    """How many settlements and open holds there are."""
    query = "SELECT (SELECT count(*) FROM settlement), (SELECT count(*) FROM hold)"
    found = product.manage("db", "psql", "-Atc", query, data=data)
    settlements, holds = found.stdout.split("|")
    return int(settlements), int(holds)
