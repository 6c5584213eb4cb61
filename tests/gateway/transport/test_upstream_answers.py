"""What an upstream may send, in whatever pieces, and what of it is an answer."""

import asyncio
import itertools
import tracemalloc

import pytest

from gateway.transport import connection
from gateway.transport.failures import AttemptFailed
from tests.gateway.transport.raw_server import (
    BODY,
    CHUNKED,
    LOOPS,
    WHOLE,
    Runner,
    Wire,
    ask,
    post,
    serving,
)

FRAMINGS = pytest.mark.parametrize("answer", [WHOLE, CHUNKED], ids=["length", "chunked"])


def answering(*pieces: bytes, keep: bool = True) -> "Answering":
    return Answering(pieces, keep=keep)


class Answering:
    """A handler that answers every request with the same pieces."""

    def __init__(self, pieces: tuple[bytes, ...], *, keep: bool) -> None:
        self.pieces = pieces
        self.keep = keep
        self.requests: list[tuple[bytes, bytes]] = []

    async def __call__(self, wire: Wire) -> None:
        while True:
            self.requests.append(await wire.request())
            await wire.send(*self.pieces)
            if not self.keep:
                return


@LOOPS
@FRAMINGS
def test_an_answer_cut_in_two_at_any_byte_comes_whole(answer: bytes, run: Runner) -> None:
    cuts = itertools.count(1)

    async def handler(wire: Wire) -> None:
        while True:
            await wire.request()
            cut = next(cuts)
            await wire.send(answer[:cut], answer[cut:])

    async def main() -> None:
        async with serving(handler) as server:
            for _ in range(len(answer) - 1):
                assert await ask(server) == BODY
            assert server.connections == 1

    run(main())


@LOOPS
@FRAMINGS
def test_an_answer_that_comes_byte_by_byte_comes_whole(answer: bytes, run: Runner) -> None:
    async def main() -> None:
        async with serving(answering(*(bytes([byte]) for byte in answer))) as server:
            assert await ask(server) == BODY

    run(main())


@LOOPS
@FRAMINGS
@pytest.mark.parametrize("how", ["closed", "reset"])
def test_an_answer_that_ends_at_any_byte_too_early_is_never_whole(
    answer: bytes, how: str, run: Runner
) -> None:
    cuts = itertools.count()
    requests: list[bytes] = []

    async def handler(wire: Wire) -> None:
        requests.append((await wire.request())[1])
        await wire.send(answer[: next(cuts)])
        if how == "reset":
            await asyncio.sleep(0.0005)
            wire.reset()

    async def main() -> None:
        async with serving(handler) as server:
            for _ in range(len(answer)):
                with pytest.raises(AttemptFailed) as raised:
                    await ask(server)
                assert raised.value.error_code == "upstream_unreachable"
                assert "localhost" not in str(raised.value)
                assert "127.0.0.1" not in str(raised.value)

    run(main())

    assert len(requests) == len(answer)  # none was sent twice


@LOOPS
def test_what_came_before_a_break_is_read_before_the_failure(run: Runner) -> None:
    async def main() -> None:
        async with serving(answering(CHUNKED[:-12], keep=False)) as server:
            upstream = await post(server)
            await asyncio.sleep(0.05)

            assert await upstream.read() == BODY
            for _ in range(2):
                with pytest.raises(AttemptFailed):
                    await upstream.read()

    run(main())


@LOOPS
def test_informational_answers_are_passed_over(run: Runner) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nx-request-id: early\r\n\r\n"

    async def main() -> None:
        async with serving(answering(early[:40], early[40:] + WHOLE)) as server:
            upstream = await post(server)

            assert (upstream.status, upstream.request_id) == (200, "")
            assert await upstream.read_all() == BODY

    run(main())


@LOOPS
def test_a_body_without_a_length_ends_with_its_connection(run: Runner) -> None:
    async def handler(wire: Wire) -> None:
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n", b"half and ", b"half")

    async def main() -> None:
        async with serving(handler) as server:
            assert await ask(server) == b"half and half"
            assert await ask(server) == b"half and half"
            assert server.connections == 2

    run(main())


@LOOPS
def test_a_body_without_a_length_that_is_reset_is_broken(run: Runner) -> None:
    async def handler(wire: Wire) -> None:
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n", b"half and ")
        await asyncio.sleep(0.02)
        wire.reset()

    async def main() -> None:
        async with serving(handler) as server:
            with pytest.raises(AttemptFailed):
                await ask(server)

    run(main())


@pytest.mark.parametrize("status", [204, 302, 304, 404, 503])
def test_any_final_status_is_an_answer_and_redirects_are_not_followed(status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\nset-cookie: a=b\r\n"
    head += "" if status in (204, 304) else "content-length: 2\r\n"
    handler = answering(f"{head}\r\n".encode() + (b"" if status in (204, 304) else b"no"))

    async def main() -> None:
        async with serving(handler) as server:
            for _ in range(2):
                upstream = await post(server)
                assert upstream.status == status
                assert upstream.headers["location"] == "/elsewhere"
                assert await upstream.read_all() in (b"", b"no")
            assert server.connections == 1

    asyncio.run(main())

    assert all(b"cookie" not in head for head, _ in handler.requests)
    assert len(handler.requests) == 2


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_a_compressed_answer_is_refused_by_name(encoding: str) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: 4\r\n\r\n"

    async def main() -> None:
        async with serving(answering(head.encode() + b"\x1f\x8b\x08\x00")) as server:
            with pytest.raises(AttemptFailed, match="compressed"):
                await ask(server)

    asyncio.run(main())


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (connection.INFORMATIONAL_MAX + 1),
        OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
        OK + b"content-length: -1\r\n\r\n",
        OK + b"content-length : 2\r\n\r\nok",
        OK + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\nxyz\r\nok\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
        OK + b"name: va\x00lue\r\ncontent-length: 2\r\n\r\nok",
        OK + b"a: b\r\n" * (connection.HEADERS_MAX + 1) + b"content-length: 2\r\n\r\nok",
        OK + b"a: " + b"b" * connection.HEAD_BYTES_MAX + b"\r\ncontent-length: 2\r\n\r\nok",
    ],
)
def test_what_is_no_answer_of_http_is_a_failure_and_its_connection_is_not_kept(
    sent: bytes,
) -> None:
    async def handler(wire: Wire) -> None:
        await wire.request()
        await wire.send(sent)
        await wire.gone()

    async def main() -> None:
        async with serving(handler) as server, asyncio.timeout(3):
            for _ in range(2):
                with pytest.raises(AttemptFailed):
                    await ask(server)
            assert server.connections == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"", b"HTTP/1.1 200 " + b"O" * 4096),
        (OK, b"x" * 4096),
        (OK + b"name: ", b"x" * 4096),
        (OK + b"transfer-encoding: chunked\r\n\r\n", b"0" * 4096),
        (OK + b"transfer-encoding: chunked\r\n\r\n2;", b"x" * 4096),
        (OK + b"transfer-encoding: chunked\r\n\r\n0\r\nname: ", b"x" * 4096),
        (OK + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"name: x\r\n" * 400),
    ],
)
def test_what_never_ends_and_gives_nothing_is_given_up(start: bytes, more: bytes) -> None:
    sent = 0

    async def handler(wire: Wire) -> None:
        nonlocal sent
        await wire.request()
        await wire.send(start)
        while sent < 64 * 1024 * 1024:
            await wire.send(more)
            sent += len(more)

    async def main() -> None:
        async with serving(handler) as server, asyncio.timeout(5):
            with pytest.raises(AttemptFailed):
                await ask(server)

    asyncio.run(main())

    assert sent < 16 * 1024 * 1024  # what the kernel's buffers take


@LOOPS
def test_a_body_that_nobody_reads_stays_with_the_provider(run: Runner) -> None:
    size = 48 * 1024 * 1024
    piece = b"x" * 65536
    sent = 0

    async def handler(wire: Wire) -> None:
        nonlocal sent
        await wire.request()
        await wire.send(OK + b"content-length: %d\r\n\r\n" % size)
        while sent < size:
            wire.writer.write(piece)
            await wire.writer.drain()
            sent += len(piece)
        await wire.gone()

    async def main() -> tuple[int, int]:
        async with serving(handler) as server:
            upstream = await post(server)
            await asyncio.sleep(0.3)
            unread = sent
            tracemalloc.start()
            try:
                got = 0
                while data := await upstream.read():
                    got += len(data)
                    await asyncio.sleep(0)
                assert got == size
                return unread, tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    unread, peak = run(main())

    assert unread < 24 * 1024 * 1024  # in the kernel's buffers, and a little here
    assert peak < 1024 * 1024  # a read of the event loop's (256 KB) is not cut before it is here


def test_a_longer_answer_than_allowed_is_given_up() -> None:
    async def main() -> None:
        async with serving(answering(WHOLE)) as server:
            upstream = await post(server)
            with pytest.raises(AttemptFailed, match="longer than 9 bytes"):
                await upstream.read_all(9)
            upstream.close()

    asyncio.run(main())
