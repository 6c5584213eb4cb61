"""The guard in a real server, over raw sockets: smuggling, bombs, slow senders, odd targets."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.raw_http import Wire, request
from tests.e2e.stack import Account, Stack, Web
from tests.fakes import transcripts
from tests.fakes.steps import stream
from tests.fakes.transcripts import OPENAI

HEAD_S, BODY_S = 0.6, 0.8
MIB = 1024 * 1024
CHAT = "POST /v1/chat/completions HTTP/1.1"


@pytest.fixture(scope="module")
def web(shared_stack: Stack) -> Web:
    """A web process that waits for nobody."""
    return shared_stack.web(CCAPI_HEAD_S=str(HEAD_S), CCAPI_BODY_S=str(BODY_S))


@pytest.fixture
def wire(web: Web) -> Iterator[Wire]:
    with Wire(web.port) as connection:
        yield connection


SMUGGLED = b"GET /models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
AMBIGUOUS = {
    "length and chunks": request(
        CHAT, "Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED
    ),
    "chunks and length": request(
        CHAT, "Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n" + SMUGGLED
    ),
    "two lengths": request(CHAT, "Content-Length: 0", "Content-Length: 43", body=SMUGGLED),
    "one length twice": request(CHAT, "Content-Length: 5", "Content-Length: 5", body=b"hello"),
    "a list of lengths": request(CHAT, "Content-Length: 5, 5", body=b"hello" + SMUGGLED),
    "a signed length": request(CHAT, "Content-Length: +5", body=b"hello" + SMUGGLED),
    "another coding": request(CHAT, "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "a coding like chunked": request(CHAT, "Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked twice": request(
        CHAT, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "chunks over HTTP/1.0": request(
        CHAT.replace("1.1", "1.0"), "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED
    ),
    "a space before the colon": request(
        CHAT, "Transfer-Encoding : chunked", body=b"0\r\n\r\n" + SMUGGLED
    ),
    "a folded header": request(CHAT, "Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"),
    "a tab in the coding": request(CHAT, "Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "bare line feeds": b"GET /models HTTP/1.1\nHost: 127.0.0.1\n\n",
    "a bare carriage return": request("GET /models HTTP/1.1", "X: a\rContent-Length: 5"),
    "an upgrade with a body": request(
        CHAT, "Connection: upgrade", "Upgrade: h2c", "Content-Length: 5", body=b"hello" + SMUGGLED
    ),
    "two hosts": request("GET /models HTTP/1.1", "Host: evil.example"),
    "two keys": request("GET /credits HTTP/1.1", "Authorization: a", "Authorization: b"),
}


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_two_servers_could_read_differently_is_refused_and_closes(
    wire: Wire, sent: bytes
) -> None:
    reply = wire.ask(sent)

    assert reply.status == 400
    assert reply.headers["connection"] == "close"
    assert reply.headers["x-request-id"].startswith("req_")
    assert reply.error()["type"] == "invalid_request_error"
    assert wire.is_closed(), "nothing that came behind it is answered"


TARGETS = {
    "absolute form": "GET http://evil.example/models HTTP/1.1",
    "our own absolute form": "GET http://127.0.0.1/models HTTP/1.1",
    "authority form": "CONNECT 127.0.0.1:443 HTTP/1.1",
    "asterisk form": "OPTIONS * HTTP/1.1",
    "a fragment": "GET /models#/admin HTTP/1.1",
    "an empty segment": "GET //models HTTP/1.1",
    "a network path": "GET //evil.example/models HTTP/1.1",
    "dots": "GET /v1/../admin/ HTTP/1.1",
    "encoded dots": "GET /v1/%2e%2e/admin/ HTTP/1.1",
    "an encoded slash": "GET /v1%2fadmin/ HTTP/1.1",
    "encoded letters": "GET /%76%31/models HTTP/1.1",
    "a way out of a model's name": "GET /v1/models/a%2F..%2F..%2Fadmin HTTP/1.1",
    "NUL": "GET /models/a%00 HTTP/1.1",
    "a broken character": "GET /models/a%ff HTTP/1.1",
    "a raw broken character": "GET /models/a\xff HTTP/1.1",
    "NUL in the query": "GET /models?type=%00 HTTP/1.1",
    "a backslash": "GET /models\\..\\admin HTTP/1.1",
    "no version": "GET /models",
    "another protocol": "PRI * HTTP/2.0",
}


@pytest.mark.parametrize("line", TARGETS.values(), ids=TARGETS.keys())
def test_a_target_that_is_no_plain_path_is_refused(wire: Wire, line: str) -> None:
    reply = wire.ask(request(line))

    assert reply.status == 400
    assert reply.headers["x-request-id"].startswith("req_")
    assert "server" not in reply.headers


def test_an_encoded_slash_and_colon_in_a_models_name_are_its_own(
    wire: Wire, account: Account
) -> None:
    key = f"Authorization: Bearer {account.api_key}"

    found = wire.ask(request("GET /v1/models/alpha%2Fone HTTP/1.1", key))
    missing = wire.ask(request("GET /v1/models/alpha%2Fone%3Afree HTTP/1.1", key))

    assert (found.status, missing.status) == (200, 404)
    assert missing.error()["code"] == "model_not_found"


@pytest.mark.parametrize("host", ["evil.example", "a/?x=", "127.0.0.1@evil.example", "", "127.1"])
def test_another_host_is_refused_before_django(wire: Wire, host: str) -> None:
    reply = wire.ask(request("GET /admin/login/ HTTP/1.1", host=host))

    assert reply.status == 400
    assert "Host" in reply.error()["message"]


def test_forwarded_headers_of_a_stranger_change_nothing(wire: Wire) -> None:
    reply = wire.ask(
        request(
            "GET /v1/admin/ HTTP/1.1",
            "Daphne-Root-Path: /v1",
            "X-Forwarded-Host: evil.example",
            "X-Original-URL: /admin/",
            "X-Script-Name: /v1",
        )
    )

    assert reply.status == 404
    assert b"evil" not in reply.body


HEADERS = {
    "65 headers": [f"X-{number}: 1" for number in range(65)],
    "one of 20 KiB": ["X-Long: " + "a" * 20_000],
    "one of 200 KiB": ["X-Long: " + "a" * 200_000],
    "500 KiB of them": [f"X-{number}: " + "a" * 10_000 for number in range(50)],
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
def test_a_bomb_of_headers_is_refused(wire: Wire, headers: list[str]) -> None:
    reply = wire.ask(request("GET /models HTTP/1.1", *headers))

    assert (reply.status, reply.error()["code"]) == (413, "request_too_large")


def test_a_header_without_end_is_cut_long_before_its_deadline(wire: Wire) -> None:
    wire.send(b"GET /models HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Endless: ")

    seconds = wire.drip([b"a" * 65536] * 1000, every_s=0.0)

    assert seconds < HEAD_S
    assert wire.is_closed() or wire.reply().status == 413


@pytest.mark.parametrize("value", ["a\x01b", "a\x85b", "a\tb", "a\x7fb"])
def test_control_characters_in_a_header_are_refused(wire: Wire, value: str) -> None:
    assert wire.ask(request("GET /models HTTP/1.1", f"X-Name: {value}")).status == 400


def test_a_name_with_an_underscore_is_refused(wire: Wire) -> None:
    assert wire.ask(request("GET /models HTTP/1.1", "X_Forwarded_For: 1.1.1.1")).status == 400


def test_a_trailer_is_no_header(wire: Wire, account: Account) -> None:
    trailer = f"0\r\nAuthorization: Bearer {account.api_key}\r\n\r\n".encode()

    reply = wire.ask(request(CHAT, "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n" + trailer))

    assert reply.status == 401


def test_a_compressed_body_is_refused_in_the_clients_protocol(wire: Wire) -> None:
    reply = wire.ask(
        request(
            "POST /v1/messages HTTP/1.1", "Content-Encoding: gzip", "Content-Length: 2", body=b"xx"
        )
    )

    assert reply.status == 400
    assert reply.error()["type"] == "invalid_request_error"
    assert "Content-Encoding" in reply.error()["message"]
    assert b'"type":"error"' in reply.body, "Anthropic's shape"


@pytest.mark.parametrize("line", [CHAT, "POST /keys HTTP/1.1"])
def test_a_declared_bomb_is_refused_before_a_byte_of_it_is_sent(wire: Wire, line: str) -> None:
    reply = wire.ask(request(line, f"Content-Length: {100 * MIB}", "Expect: 100-continue"))

    assert (reply.status, reply.error()["code"]) == (413, "request_too_large")
    assert wire.is_closed(), "nobody knows whether the body comes"


def resident_bytes(web: Web) -> int:
    pages = int(Path(f"/proc/{web.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs Linux's /proc")
def test_memory_stays_flat_while_bombs_are_posted(web: Web) -> None:
    piece = b"%x\r\n" % MIB + b"a" * MIB + b"\r\n"
    before = resident_bytes(web)

    for line in (CHAT, "POST /keys HTTP/1.1"):
        with Wire(web.port) as declared, Wire(web.port) as chunked:
            declared.send(request(line, f"Content-Length: {100 * MIB}"))
            declared.drip([b"a" * MIB] * 100, every_s=0.0)
            assert declared.reply().status == 413
            chunked.send(request(line, "Transfer-Encoding: chunked"))
            chunked.drip([piece] * 100, every_s=0.0)
            # A chat without a key is refused before its body is read.
            assert chunked.reply().status == (401 if line == CHAT else 413)

    # 64 KiB are read ahead, 2.5 MiB may be a request; what is refused is dropped as it comes.
    assert resident_bytes(web) - before < 24 * MIB


def test_an_upload_that_is_refused_half_way_gets_to_read_why(wire: Wire) -> None:
    wire.send(request("POST /keys HTTP/1.1", f"Content-Length: {8 * MIB}"))
    for _ in range(8):
        wire.send(b"a" * MIB)
    first = wire.reply()
    second = wire.ask(request())

    assert first.status == 413
    assert second.status in (200, 401), "the connection is still good"


@pytest.mark.parametrize("line", [CHAT, "POST /v1/messages HTTP/1.1"])
def test_json_that_nests_too_deeply_is_refused(wire: Wire, account: Account, line: str) -> None:
    body = b'{"model":"alpha/one","metadata":' + b'{"a":' * 65 + b"1" + b"}" * 66
    key = f"Authorization: Bearer {account.api_key}"

    reply = wire.ask(request(line, key, f"Content-Length: {len(body)}", body=body))

    assert reply.status == 400
    assert "64 levels" in reply.error()["message"]


# Slow senders


def test_a_connection_that_says_nothing_is_closed(wire: Wire) -> None:
    assert wire.is_closed(within_s=HEAD_S + 1)


SLOW_HEADS = {
    "a byte now and then": [bytes([byte]) for byte in request("GET /models HTTP/1.1", "X: y")],
    "blank lines": [b"\r\n"] * 60,
    "a header now and then": [b"GET /models HTTP/1.1\r\n", *[b"X: y\r\n"] * 60],
}


@pytest.mark.parametrize("pieces", SLOW_HEADS.values(), ids=SLOW_HEADS.keys())
def test_a_head_has_an_absolute_deadline(wire: Wire, pieces: list[bytes]) -> None:
    seconds = wire.drip(pieces, every_s=0.05)

    assert HEAD_S - 0.1 < seconds < HEAD_S + 1


def test_the_deadline_holds_for_the_second_request_of_a_connection(wire: Wire) -> None:
    assert wire.ask(request("GET /livez HTTP/1.1")).status == 200
    time.sleep(HEAD_S + 0.2)
    assert wire.ask(request("GET /livez HTTP/1.1")).status == 200, "between requests it may wait"

    seconds = wire.drip([b"GET /livez HT", *[b"T"] * 60], every_s=0.05)

    assert seconds < HEAD_S + 1


@pytest.mark.parametrize(
    ("line", "shape"), [(CHAT, b'"code"'), ("POST /v1/messages HTTP/1.1", b'"type":"error"')]
)
def test_a_body_has_an_absolute_deadline_and_a_late_one_is_told(
    wire: Wire, line: str, shape: bytes
) -> None:
    began = time.monotonic()
    wire.send(request(line, "Content-Length: 1000", body=b"{"))
    time.sleep(BODY_S / 2)
    wire.send(b" ")

    reply = wire.reply()

    assert reply.status == 408
    assert shape in reply.body
    assert reply.headers["x-request-id"].startswith("req_")
    assert time.monotonic() - began < BODY_S + 0.5
    assert wire.is_closed()


def test_a_body_that_django_would_wait_for_has_it_too(wire: Wire) -> None:
    assert wire.ask(request("POST /keys HTTP/1.1", "Content-Length: 9", body=b"{")).status == 408


def test_an_answer_may_take_longer_than_its_request(
    web: Web, stack: Stack, account: Account
) -> None:
    frames = transcripts.frames(OPENAI, transcripts.answer("one two three four"))
    stack.upstream.on("alpha-one", stream(frames, pace=1.5 * (HEAD_S + BODY_S) / len(frames)))
    began = time.monotonic()

    chunks = list(
        stack.openai(account, web).chat.completions.create(
            model="alpha/one", messages=[{"role": "user", "content": "hi"}], stream=True
        )
    )

    assert time.monotonic() - began > HEAD_S + BODY_S
    assert chunks[-1].usage is not None


def test_requests_that_come_at_once_are_answered_in_order(wire: Wire) -> None:
    wire.send(request("GET /livez HTTP/1.1") * 3 + request("GET /nowhere HTTP/1.1"))

    assert [wire.reply().status for _ in range(4)] == [200, 200, 200, 404]


def test_an_upgrade_without_a_body_is_answered_as_if_not_asked_for(wire: Wire) -> None:
    headers = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"]

    reply = wire.ask(request("GET /livez HTTP/1.1", *headers))

    assert (reply.status, reply.headers["connection"]) == (200, "close")
