"""TLS to upstreams: whose certificates are believed, and that nothing is sent to anybody else."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings

from gateway.transport import client
from gateway.transport.failures import AttemptFailed
from tests.fakes.authority import Authority
from tests.gateway.transport.raw_server import (
    BODY,
    LOOPS,
    WHOLE,
    Runner,
    Wire,
    ask,
    descriptors,
    post,
    serving,
    until,
)


@pytest.fixture
def authority(tmp_path: Path, settings: Settings) -> Authority:
    """One whose certificates are believed."""
    made = Authority(tmp_path)
    settings.CCAPI_CA_BUNDLE = made.bundle
    return made


async def answer_all(wire: Wire) -> None:
    while True:
        await wire.request()
        await wire.send(WHOLE[:30], WHOLE[30:])


@LOOPS
def test_a_trusted_server_is_asked_by_its_name_over_http_1(
    authority: Authority, run: Runner
) -> None:
    seen: list[tuple[object, object]] = []
    tls = authority.server("localhost")
    names: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: names.append(name)

    async def handler(wire: Wire) -> None:
        shown: ssl.SSLObject = wire.writer.get_extra_info("ssl_object")
        seen.append((shown.selected_alpn_protocol(), shown.version()))
        await answer_all(wire)

    async def main() -> None:
        async with serving(handler, tls) as server:
            for _ in range(5):
                assert await ask(server) == BODY
            assert await ask(server, b"x" * 3_000_000) == BODY
            assert server.connections == 1

    run(main())

    assert seen == [("http/1.1", "TLSv1.3")]
    assert names == ["localhost"]


def unbelieved(authority: Authority) -> ssl.SSLContext:
    folder = authority.folder / "other"
    folder.mkdir()
    return Authority(folder).server("localhost")


@LOOPS
@pytest.mark.parametrize(
    "served",
    [
        unbelieved,
        lambda authority: authority.server("example.com"),
        lambda authority: authority.server("localhost", expired=True),
    ],
    ids=["unknown authority", "another name", "expired"],
)
def test_a_server_that_is_not_who_it_should_be_is_told_nothing(
    served: Callable[[Authority], ssl.SSLContext], authority: Authority, run: Runner
) -> None:
    heard: list[bytes] = []

    async def handler(wire: Wire) -> None:
        heard.append(await wire.reader.read(1))

    async def main() -> None:
        async with serving(handler, served(authority)) as server:
            before = descriptors()
            with pytest.raises(AttemptFailed, match="its TLS handshake failed") as raised:
                await ask(server, authorization="Bearer secret-key")
            assert raised.value.error_code == "upstream_unreachable"
            assert "localhost" not in str(raised.value)
            await until(lambda: descriptors() <= before)

    run(main())

    assert not any(heard)


def test_without_the_bundle_the_systems_store_alone_is_believed(
    authority: Authority, settings: Settings
) -> None:
    settings.CCAPI_CA_BUNDLE = None

    async def main() -> None:
        async with serving(answer_all, authority.server("localhost")) as server:
            with pytest.raises(AttemptFailed, match="TLS handshake failed"):
                await ask(server)

    asyncio.run(main())


@LOOPS
def test_a_server_without_tls_is_told_nothing(authority: Authority, run: Runner) -> None:
    heard: list[bytes] = []

    async def handler(wire: Wire) -> None:
        heard.append(await wire.reader.read(5))
        await wire.send(WHOLE)

    async def main() -> None:
        async with serving(handler) as server:
            server.url = server.url.replace("http:", "https:")
            with pytest.raises(AttemptFailed, match="TLS handshake failed"):
                await ask(server)

    run(main())

    assert heard[0][:1] == b"\x16"  # a handshake, and no more of ours


@LOOPS
@pytest.mark.parametrize("leaves", [False, True], ids=["in time", "cancelled"])
def test_a_handshake_that_hangs_leaves_nothing_open(
    leaves: bool, authority: Authority, run: Runner
) -> None:
    async def handler(wire: Wire) -> None:
        await wire.gone()

    async def one(url: str) -> None:
        if leaves:
            async with asyncio.timeout(0.1):
                await client.post(url, b"", {}, connect_s=5)
        else:
            await client.post(url, b"", {}, connect_s=0.1)

    async def main() -> None:
        async with serving(handler) as server:
            url = server.url.replace("http:", "https:")
            before = descriptors()
            results = await asyncio.gather(*[one(url) for _ in range(50)], return_exceptions=True)
            kind = TimeoutError if leaves else AttemptFailed
            assert all(isinstance(result, kind) for result in results), results[0]
            await until(lambda: server.open == 0)
            await until(lambda: descriptors() <= before)

    run(main())


@LOOPS
def test_an_answer_over_tls_that_is_cut_is_broken(authority: Authority, run: Runner) -> None:
    async def handler(wire: Wire) -> None:
        await wire.request()
        await wire.send(WHOLE[:-3])
        await asyncio.sleep(0.02)
        wire.writer.transport.abort()

    async def main() -> None:
        async with serving(handler, authority.server("localhost")) as server:
            upstream = await post(server)
            with pytest.raises(AttemptFailed, match="the connection broke"):
                await upstream.read_all()

    run(main())


@LOOPS
def test_a_slow_reader_slows_a_provider_over_tls(authority: Authority, run: Runner) -> None:
    size = 24 * 1024 * 1024
    sent = 0

    async def handler(wire: Wire) -> None:
        nonlocal sent
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while sent < size:
            wire.writer.write(b"x" * 65536)
            await wire.writer.drain()
            sent += 65536
        await wire.gone()

    async def main() -> None:
        async with serving(handler, authority.server("localhost")) as server:
            upstream = await post(server)
            await asyncio.sleep(0.3)
            assert sent < 16 * 1024 * 1024
            assert len(await upstream.read_all()) == size

    run(main())
