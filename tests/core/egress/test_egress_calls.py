"""Calls to URLs of customers, over real sockets; names are looked up by the tests' own resolver."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import httpcore2
import pytest
from pytest_django import Settings

from ccapi.core import egress
from ccapi.core.egress import EgressFailed, EgressRefused, Guard
from ccapi.core.egress.addresses import Address
from ccapi.core.egress.guard import dial
from tests.fakes.authority import Authority
from tests.gateway.transport.raw_server import LOOPS, Handler, Runner, Server, Wire, serving

OK = b"HTTP/1.1 200 OK\r\ncontent-type: Image/PNG; x=y\r\ncontent-length: 5\r\n\r\nhello"
PUBLIC = "93.184.216.34"
NAME = "pictures.test-host.com"


class Names:
    """A name server that gives its answers in turn, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(text) for text in answer]


def trusting(server: Server, names: Names) -> Guard:
    """A guard of an operator who trusts NAME at this server's port."""
    return Guard(named=frozenset({(NAME, server.port)}), resolve=names)


async def head_of(wire: Wire) -> bytes:
    return await wire.reader.readuntil(b"\r\n\r\n")


def answering(*pieces: bytes, seen: list[bytes] | None = None, pause_s: float = 0.0) -> Handler:
    async def handler(wire: Wire) -> None:
        head = await head_of(wire)
        if seen is not None:
            seen.append(head)
        await wire.send(*pieces, pause_s=pause_s)

    return handler


@pytest.fixture
def authority(tmp_path: Path, settings: Settings) -> Authority:
    made = Authority(tmp_path)
    settings.CCAPI_CA_BUNDLE = made.bundle
    return made


@LOOPS
def test_a_server_is_asked_over_tls_by_its_name_at_the_address_that_was_checked(
    run: Runner, authority: Authority
) -> None:
    seen: list[bytes] = []
    indicated: list[str | None] = []
    tls = authority.server(NAME)
    tls.sni_callback = lambda _socket, name, _context: indicated.append(name)
    names = Names(["127.0.0.1"])

    async def main() -> egress.Fetched:
        async with serving(answering(OK, seen=seen), tls) as server:
            url = f"https://{NAME}:{server.port}/a%20b?c=d#e"
            return await egress.fetch(url, bytes_max=5, seconds=5, guard=trusting(server, names))

    fetched = run(main())

    assert (fetched.data, fetched.content_type) == (b"hello", "image/png")
    assert indicated == [NAME]
    assert names.asked == [NAME]
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"GET /a%20b?c=d HTTP/1.1"
    assert lines[1].startswith(b"host: pictures.test-host.com:")
    assert b"accept-encoding: identity" in lines


@pytest.mark.parametrize("fault", ["another name", "expired", "another authority", "no TLS"])
def test_a_certificate_that_is_not_to_be_believed_ends_the_call(
    fault: str, authority: Authority, settings: Settings
) -> None:
    tls = authority.server(
        "other.test-host.com" if fault == "another name" else NAME, expired=fault == "expired"
    )
    if fault == "another authority":
        settings.CCAPI_CA_BUNDLE = None
    seen: list[bytes] = []

    async def handler(wire: Wire) -> None:
        if fault == "no TLS":
            await wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        seen.append(await head_of(wire))

    async def main() -> None:
        async with serving(handler, None if fault == "no TLS" else tls) as server:
            url = f"https://{NAME}:{server.port}/"
            guard = trusting(server, Names(["127.0.0.1"]))
            await egress.fetch(url, bytes_max=5, seconds=2, guard=guard)

    with pytest.raises(EgressFailed, match="TLS"):
        asyncio.run(main())

    assert seen == []


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["10.1.2.3"],
        ["169.254.169.254"],
        [PUBLIC, "127.0.0.1"],
        ["2606:4700::1", PUBLIC, "8.8.8.8", "8.8.4.4", "1.1.1.1", "192.168.0.1"],
    ],
    ids=str,
)
def test_a_name_with_any_address_that_is_not_public_is_refused_before_a_connection(
    answer: list[str],
) -> None:
    dialled: list[Address] = []

    async def dialling(address: Address, port: int) -> httpcore2.AsyncNetworkStream:
        dialled.append(address)
        raise httpcore2.ConnectError

    async def main() -> None:
        guard = Guard(resolve=Names(answer), dial=dialling)
        for call in (
            egress.check("https://example.com/", guard=guard),
            egress.fetch("https://example.com/", bytes_max=5, seconds=2, guard=guard),
            egress.post("https://example.com/", content=b"", headers={}, seconds=2, guard=guard),
        ):
            with pytest.raises(EgressRefused, match="not on the public internet") as refused:
                await call
            assert not any(address in str(refused.value) for address in answer)

    asyncio.run(main())

    assert dialled == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"])
def test_an_address_that_is_not_public_is_refused_without_asking_anybody(host: str) -> None:
    names = Names([PUBLIC])

    with pytest.raises(EgressRefused):
        asyncio.run(egress.check(f"https://{host}/", guard=Guard(resolve=names)))

    assert names.asked == []


@pytest.mark.parametrize("host", ["localhost.test-host.com", "2130706433.", "0x7f.1", "①②⑦.0.0.1"])
def test_with_the_systems_resolver_no_spelling_leads_here(host: str, settings: Settings) -> None:
    settings.CCAPI_EGRESS_ALLOW = []

    with pytest.raises((EgressRefused, EgressFailed)):
        asyncio.run(egress.check(f"https://{host}/"))


def test_the_systems_resolver_finds_names_and_says_so_where_it_does_not() -> None:
    named = frozenset({("localhost", 80), ("no-such-host.invalid", 80)})
    guard = Guard(named=named)

    asyncio.run(egress.check("http://localhost/", guard=guard))
    with pytest.raises(EgressFailed, match="does not resolve"):
        asyncio.run(egress.check("http://no-such-host.invalid/", guard=guard))


def test_a_name_that_was_public_when_it_was_checked_is_checked_anew_at_the_call() -> None:
    """DNS rebinding: the second answer leads to a server on this machine, which hears nothing."""
    names = Names([PUBLIC], ["127.0.0.1"])

    async def main() -> int:
        async with serving(answering(OK)) as server:

            async def to_the_server(address: Address, _port: int) -> httpcore2.AsyncNetworkStream:
                return await dial(address, server.port)

            guard = Guard(resolve=names, dial=to_the_server)
            await egress.check("https://example.com/", guard=guard)
            with pytest.raises(EgressRefused):
                await egress.fetch("https://example.com/", bytes_max=5, seconds=2, guard=guard)
            return server.connections

    assert asyncio.run(main()) == 0
    assert names.asked == ["example.com", "example.com"]


def test_a_name_is_looked_up_once_a_call_and_the_connection_goes_where_that_answer_says() -> None:
    names = Names([PUBLIC], ["127.0.0.1"])
    dialled: list[str] = []

    async def dialling(address: Address, _port: int) -> httpcore2.AsyncNetworkStream:
        dialled.append(str(address))
        raise httpcore2.ConnectError

    guard = Guard(resolve=names, dial=dialling)
    with pytest.raises(EgressFailed, match="cannot be reached"):
        asyncio.run(egress.fetch("https://example.com/", bytes_max=5, seconds=2, guard=guard))

    assert names.asked == ["example.com"]
    assert dialled == [PUBLIC]


def test_a_connection_that_ends_elsewhere_than_it_was_made_to_is_closed_unused() -> None:
    """As where a firewall redirects: the socket itself is asked who is at its other end."""
    heard: list[bytes] = []

    async def handler(wire: Wire) -> None:
        heard.append(await wire.reader.read())

    async def main() -> int:
        async with serving(handler) as server:

            async def redirected(_address: Address, _port: int) -> httpcore2.AsyncNetworkStream:
                return await dial(ip_address("127.0.0.1"), server.port)

            guard = Guard(resolve=Names([PUBLIC]), dial=redirected)
            with pytest.raises(EgressRefused):
                await egress.fetch("https://example.com/", bytes_max=5, seconds=2, guard=guard)
            async with asyncio.timeout(2):
                while server.open or not heard:  # noqa: ASYNC110 — another task's work
                    await asyncio.sleep(0.005)
            return server.connections

    assert asyncio.run(main()) == 1
    assert heard == [b""]


def test_of_several_addresses_the_next_one_is_tried() -> None:
    async def main() -> bytes:
        async with serving(answering(OK)) as server:
            guard = trusting(server, Names(["127.0.0.9", "::1", "127.0.0.1"]))
            url = f"http://{NAME}:{server.port}/"
            return (await egress.fetch(url, bytes_max=5, seconds=5, guard=guard)).data

    assert asyncio.run(main()) == b"hello"


REDIRECTS = [
    b"HTTP/1.1 %d Moved\r\nlocation: http://127.0.0.1:%%d/secret\r\ncontent-length: 0\r\n\r\n"
    % status
    for status in (301, 302, 303, 307, 308)
]


@pytest.mark.parametrize("redirect", REDIRECTS, ids=lambda redirect: redirect[9:12].decode())
def test_a_redirect_is_not_followed(redirect: bytes) -> None:
    async def main() -> int:
        async with serving(answering(redirect)) as server:
            guard = trusting(server, Names(["127.0.0.1"]))
            url = f"http://{NAME}:{server.port}/"
            with pytest.raises(EgressFailed, match="redirects") as failed:
                await egress.fetch(url, bytes_max=5, seconds=2, guard=guard)
            assert failed.value.status == int(redirect[9:12])
            answer = await egress.post(url, content=b"{}", headers={}, seconds=2, guard=guard)
            assert answer.status == int(redirect[9:12])
            return server.connections

    assert asyncio.run(main()) == 2  # one for each call


def drip(piece: bytes, *, first: bytes = b"") -> Handler:
    async def handler(wire: Wire) -> None:
        await head_of(wire)
        await wire.send(first)
        while True:
            await wire.send(piece)
            await asyncio.sleep(0.02)

    return handler


async def silent(wire: Wire) -> None:
    await wire.gone()


async def gone_at_once(wire: Wire) -> None:
    await head_of(wire)


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (answering(OK[:-1] + b"o!"), None),  # what is beyond the length is nobody's
        (answering(OK.replace(b"5", b"6", 1) + b"!"), "more than 5 bytes"),
        (answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000), "more than 5 bytes"),
        (
            answering(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n4\r\nefgh\r\n"
            ),
            "more than 5 bytes",
        ),
        (answering(OK.replace(b"content-type", b"content-encoding: gzip\r\nx")), "compressed"),
        (answering(OK.replace(b"200 OK", b"404 Not Found")), "404"),
        (answering(OK.replace(b"200 OK", b"204 None")), "204"),
        (answering(OK[:-2]), "hung up|proper HTTP"),
        (gone_at_once, "hung up|proper HTTP"),
        (answering(b"SSH-2.0-OpenSSH_9.6\r\n"), "proper HTTP"),
        (answering(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000), "proper HTTP"),
        (silent, "within 0.5 seconds"),
        (drip(b"H"), "within 0.5 seconds"),
        (drip(b"x", first=b"HTTP/1.1 200 OK\r\nx-drip: "), "within 0.5 seconds"),
        (drip(b"HTTP/1.1 100 Continue\r\n\r\n"), "within 0.5 seconds"),
        (drip(b"x", first=b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n"), "bytes"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_ends_the_fetch_in_time(
    handler: Handler, reason: str | None
) -> None:
    async def main() -> tuple[egress.Fetched, int]:
        async with serving(handler) as server:
            guard = trusting(server, Names(["127.0.0.1"]))
            url = f"http://{NAME}:{server.port}/"
            fetched = await egress.fetch(url, bytes_max=5, seconds=0.5, guard=guard)
            return fetched, server.connections

    started = time.monotonic()
    if reason is None:
        assert asyncio.run(main())[0].data == b"hello"
    else:
        with pytest.raises(EgressFailed, match=reason):
            asyncio.run(main())
    assert time.monotonic() - started < 3


def test_a_body_that_drips_is_cut_by_the_time_in_all() -> None:
    handler = drip(b"x", first=b"HTTP/1.1 200 OK\r\n\r\n")

    async def main() -> None:
        async with serving(handler) as server:
            guard = trusting(server, Names(["127.0.0.1"]))
            url = f"http://{NAME}:{server.port}/"
            await egress.fetch(url, bytes_max=5000, seconds=0.4, guard=guard)

    started = time.monotonic()
    with pytest.raises(EgressFailed, match=r"within 0\.4 seconds"):
        asyncio.run(main())
    assert 0.3 < time.monotonic() - started < 2


def test_a_name_server_that_never_answers_costs_no_more_than_the_calls_time() -> None:
    async def never(_host: str, _port: int) -> Sequence[Address]:
        await asyncio.sleep(60)
        return []

    started = time.monotonic()
    with pytest.raises(EgressFailed, match=r"within 0\.3 seconds"):
        asyncio.run(
            egress.fetch(
                "https://example.com/", bytes_max=5, seconds=0.3, guard=Guard(resolve=never)
            )
        )
    assert time.monotonic() - started < 2


def test_a_post_carries_its_headers_and_tells_the_status_before_the_body_has_dripped_out() -> None:
    seen: list[bytes] = []

    async def handler(wire: Wire) -> None:
        seen.extend(await wire.request())
        head = b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 9999\r\n\r\n"
        await wire.send(head + b"wait")
        await wire.gone()

    async def main() -> egress.Answered:
        async with serving(handler) as server:
            guard = trusting(server, Names(["127.0.0.1"]))
            return await egress.post(
                f"http://{NAME}:{server.port}/hook",
                content=b'{"a":1}',
                headers={"webhook-id": "msg_1", "content-type": "application/json"},
                seconds=10,
                guard=guard,
            )

    answer = asyncio.run(main())

    assert answer == egress.Answered(status=429, retry_after="7", data=b"wait")
    assert seen[0].startswith(b"POST /hook HTTP/1.1\r\n")
    assert b"\r\nwebhook-id: msg_1\r\n" in seen[0]
    assert seen[1] == b'{"a":1}'


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def main() -> bytes:
        async with serving(answering(OK)) as server:
            guard = trusting(server, Names(["127.0.0.1"]))
            url = f"http://{NAME}:{server.port}/"
            return (await egress.fetch(url, bytes_max=5, seconds=5, guard=guard)).data

    assert asyncio.run(main()) == b"hello"


def test_no_connection_is_kept_for_another_call() -> None:
    async def handler(wire: Wire) -> None:
        while True:
            await head_of(wire)
            await wire.send(OK)

    async def main() -> int:
        async with serving(handler) as server:
            guard = trusting(server, Names(["127.0.0.1"]))
            for _ in range(3):
                url = f"http://{NAME}:{server.port}/"
                await egress.fetch(url, bytes_max=5, seconds=5, guard=guard)
            async with asyncio.timeout(2):
                while server.open:  # noqa: ASYNC110 — another task's work
                    await asyncio.sleep(0.005)
            return server.connections

    assert asyncio.run(main()) == 3


def test_the_operators_settings_open_a_host_and_close_a_network(settings: Settings) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    settings.CCAPI_EGRESS_ALLOW = [f"127.0.0.1:{port}"]
    settings.CCAPI_EGRESS_DENY = ["8.8.8.0/24"]

    asyncio.run(egress.check(f"http://127.0.0.1:{port}/"))
    for url in ("https://8.8.8.8/", f"http://127.0.0.1:{port + 1}/"):
        with pytest.raises(EgressRefused):
            asyncio.run(egress.check(url))


def test_a_call_that_is_cancelled_leaves_no_connection() -> None:
    async def main() -> None:
        async with serving(silent) as server:
            guard = trusting(server, Names(["127.0.0.1"]))
            url = f"http://{NAME}:{server.port}/"
            call = asyncio.create_task(egress.fetch(url, bytes_max=5, seconds=30, guard=guard))
            async with asyncio.timeout(2):
                while not server.open:  # noqa: ASYNC110 — another task's work
                    await asyncio.sleep(0.005)
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call
            async with asyncio.timeout(2):
                while server.open:  # noqa: ASYNC110 — another task's work
                    await asyncio.sleep(0.005)

    asyncio.run(main())
