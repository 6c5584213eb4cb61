"""What goes out to an upstream, byte by byte, and how fast."""

import asyncio
import os
import tracemalloc

import pytest

from gateway.transport import client, connection
from gateway.transport.failures import AttemptFailed
from tests.gateway.transport.raw_server import (
    BODY,
    LOOPS,
    WHOLE,
    Runner,
    Wire,
    answer_all,
    ask,
    post,
    serving,
)


def test_a_request_says_what_it_was_given_and_nothing_ambient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    seen: list[tuple[bytes, bytes]] = []

    async def handler(wire: Wire) -> None:
        seen.append(await wire.request())
        await wire.send(WHOLE)

    async def main() -> int:
        async with serving(handler) as server:
            url = server.url + "?key=a%20b#not-sent"
            upstream = await client.post(url, b"{}", {"X-Key": "ä\t1"}, connect_s=1)
            await upstream.read_all()
            return server.port

    port = asyncio.run(main())

    assert seen == [
        (
            b"POST /v1/x?key=a%%20b HTTP/1.1\r\n"
            b"host: localhost:%d\r\n"
            b"accept-encoding: identity\r\n"
            b"x-key: \xe4\t1\r\n"
            b"user-agent: ccapi/1\r\n"
            b"content-length: 2\r\n\r\n" % port,
            b"{}",
        )
    ]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://api.example.com/v1", "api.example.com"),
        ("https://api.example.com:443/v1", "api.example.com"),
        ("https://api.example.com:80/v1", "api.example.com:80"),
        ("http://[::1]:8080/v1", "[::1]:8080"),
        ("http://bücher.example/v1", "xn--bcher-kva.example"),
        ("https://API.example.com", "api.example.com"),
    ],
)
def test_the_host_header_is_the_address_without_its_usual_port(url: str, host: str) -> None:
    assert f"\r\nhost: {host}\r\n" in client.target_of(url).start


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "http:///v1",
        "http://user:secret@example.com/v1",
        "http://example.com/a b",
        "http://example.com/ä",
        "http://exa mple.com/",
        "example.com/v1",
        "http://example.com:99999/",
    ],
)
def test_an_address_that_no_request_can_be_sent_to_is_a_failure(url: str) -> None:
    with pytest.raises(AttemptFailed, match="cannot be sent") as raised:
        asyncio.run(client.post(url, b"", {}, connect_s=1))

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-key", "a\r\nx-admin: 1"),
        ("x-key", "a\nb"),
        ("x-key", "a\rb"),
        ("x-key", "a\x00b"),
        ("x-key", "snow ☃"),
        ("x key", "a"),
        ("x-key: b\r\nx", "a"),
        ("", "a"),
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
        ("HOST", "elsewhere"),
        ("connection", "close"),
        ("accept-encoding", "gzip"),
    ],
)
def test_a_header_that_would_say_more_than_itself_is_not_sent(name: str, value: str) -> None:
    async def main() -> None:
        async with serving(answer_all) as server:
            with pytest.raises(AttemptFailed, match="cannot be sent"):
                await client.post(server.url, b"", {name: value}, connect_s=1)
            assert server.connections == 0

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, 1, connection.WRITE_BYTES, connection.WRITE_BYTES * 5 + 3])
@LOOPS
def test_a_body_of_any_size_arrives_as_it_was(size: int, run: Runner) -> None:
    body = os.urandom(size)
    seen = []

    async def handler(wire: Wire) -> None:
        seen.append((await wire.request())[1])
        await wire.send(WHOLE)

    async def main() -> None:
        async with serving(handler) as server:
            assert await ask(server, body) == BODY

    run(main())

    assert seen == [body]


def test_a_large_body_goes_out_no_faster_than_it_is_taken() -> None:
    body = b"x" * (32 * 1024 * 1024)
    taking = asyncio.Event()

    async def handler(wire: Wire) -> None:
        head = await wire.reader.readuntil(b"\r\n\r\n")
        assert b"content-length: %d" % len(body) in head
        await taking.wait()
        for _ in range(len(body) // 65536):
            await wire.reader.readexactly(65536)
        await wire.send(WHOLE)

    async def main() -> int:
        async with serving(handler) as server:
            tracemalloc.start()
            try:
                asking = asyncio.create_task(ask(server, body))
                await asyncio.sleep(0.2)
                taking.set()
                assert await asking == BODY
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    # asyncio's own transport copies what it cannot send at once.
    assert asyncio.run(main()) < 16 * connection.WRITE_BYTES


@LOOPS
def test_an_answer_before_the_whole_request_is_taken_and_its_connection_is_not_kept(
    run: Runner,
) -> None:
    async def handler(wire: Wire) -> None:
        await wire.reader.readuntil(b"\r\n\r\n")
        await wire.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await wire.gone()

    async def main() -> None:
        async with serving(handler) as server:
            for _ in range(2):
                upstream = await post(server, b"x" * (32 * 1024 * 1024))
                assert (upstream.status, await upstream.read_all()) == (413, b"no")
            assert server.connections == 2

    run(main())
