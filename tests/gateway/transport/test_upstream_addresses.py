"""Names to addresses, addresses to connections, and what is told where there is none."""

import asyncio
import socket
from typing import Any

import pytest

from gateway.transport import client, dial
from gateway.transport.failures import AttemptFailed
from tests.gateway.transport.raw_server import (
    LOOPS,
    Runner,
    answer_all,
    ask,
    descriptors,
    serving,
    until,
)


def found(*addresses: str, port: int) -> list[Any]:
    return [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
        if ":" in address
        else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
        for address in addresses
    ]


def test_a_name_is_looked_up_once_for_all_who_ask_and_then_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        return found("127.0.0.1", port=port)

    async def main() -> None:
        async with serving(answer_all) as server:
            monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
            await asyncio.gather(*[ask(server) for _ in range(10)])
            await client.post(server.url, b"", {}, connect_s=1)

    asyncio.run(main())

    assert asked == ["localhost"]


def test_a_name_without_addresses_is_a_failure_that_names_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def getaddrinfo(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    with pytest.raises(AttemptFailed, match="its name could not be resolved") as raised:
        asyncio.run(client.post("http://nowhere.example/", b"", {}, connect_s=1))

    assert raised.value.error_code == "upstream_unreachable"
    assert "nowhere" not in str(raised.value)


def test_addresses_are_tried_in_the_systems_order_with_the_families_in_turn() -> None:
    async def main() -> tuple[dial.Address, ...]:
        loop = asyncio.get_running_loop()
        monkeypatched = found("::2", "::1", "127.0.0.9", "127.0.0.8", "::3", "::2", port=1)

        async def getaddrinfo(*_: object, **__: object) -> list[Any]:
            return monkeypatched

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "getaddrinfo", getaddrinfo)
            return await dial.Resolver(loop).addresses("x", 1)

    order = [address.sockaddr[0] for address in asyncio.run(main())]

    assert order == ["::2", "127.0.0.9", "::1", "127.0.0.8", "::3"]


@LOOPS
def test_an_address_that_refuses_is_passed_over(run: Runner) -> None:
    async def main() -> None:
        async with serving(answer_all) as server:
            addresses = [
                dial.Address(socket.AF_INET, (host, server.port))
                for host in ("127.0.0.2", "127.0.0.3", "127.0.0.1")
            ]
            origin = dial.Origin(False, "x", server.port)
            transport = await dial.dial(origin, addresses, Silent)
            await until(lambda: server.open == 1)
            transport.close()

    run(main())


class Silent(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def close(self) -> None:
        self.transport.close()


def unanswering(host: str, port: int) -> list[socket.socket]:
    """A listener whose queue is full: whoever connects hears nothing."""
    listener = socket.create_server((host, port), backlog=0)
    callers = [socket.socket() for _ in range(3)]
    for caller in callers:
        caller.setblocking(False)
        caller.connect_ex((host, port))
    return [listener, *callers]


@LOOPS
def test_an_address_that_hangs_is_overtaken_by_the_next(run: Runner) -> None:
    async def main() -> None:
        async with serving(answer_all) as server:
            hung = unanswering("127.0.0.2", server.port)
            try:
                addresses = [
                    dial.Address(socket.AF_INET, (host, server.port))
                    for host in ("127.0.0.2", "127.0.0.1")
                ]
                origin = dial.Origin(False, "x", server.port)
                before = descriptors()
                async with asyncio.timeout(2):
                    transport = await dial.dial(origin, addresses, Silent)
                await until(lambda: server.open == 1)
                transport.close()
                await until(lambda: descriptors() <= before)
            finally:
                for each in hung:
                    each.close()

    run(main())


@LOOPS
def test_connecting_has_its_limit(run: Runner) -> None:
    async def main() -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        hung = unanswering("127.0.0.1", port)
        before = descriptors()
        try:
            with pytest.raises(AttemptFailed, match="did not accept a connection in time") as told:
                await client.post(f"http://127.0.0.1:{port}/", b"", {}, connect_s=0.1)
            assert told.value.failure.kind == "timeout"
            await until(lambda: descriptors() <= before)
        finally:
            for each in hung:
                each.close()

    run(main())


@LOOPS
def test_a_refused_connection_is_told_without_its_address(run: Runner) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"

        with pytest.raises(AttemptFailed, match="it refused the connection") as raised:
            run(client.post(url, b"", {}, connect_s=1))

    assert "127.0.0.1" not in str(raised.value)
