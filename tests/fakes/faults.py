"""Faults: what a provider does wrong, by name, as scripts of a fake upstream in either protocol.

`whole` and `streamed` are faults before any content of an answer; `later` are those of a stream
that has begun. Faults of the connection itself (nobody there, no name, no TLS) need no script:
see `addresses`.
"""

import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.sandbox.dialect import Dialect
from gateway.sandbox.failures import Kind
from tests.fakes import transcripts
from tests.fakes.steps import CLOSE, RESET, SILENCE, SSE, Close, Script, Send, head, reply, stream
from tests.fakes.transcripts import OPENAI
from tests.fakes.upstream import closed_port

ENDLESS = b"x" * 1_100_000  # more than one frame may have
KINDS: tuple[Kind, ...] = (
    "invalid",
    "too_large",
    "invalid_key",
    "no_credit",
    "not_found",
    "context_length",
    "content_filter",
    "rate_limited",
    "server",
    "overloaded",
)
STATUSES = (402, 403, 408, 409, 418, 422, 500, 501, 502, 503, 504, 520, 529, 599)
# The odd forms of a 429's Retry-After.
RETRY_AFTER = {
    "none": "",
    "0": "0",
    "a float": "0.9",
    "a date gone by": "Wed, 21 Oct 2015 07:28:00 GMT",
    "negative": "-5",
    "eleven seconds": "11",
    "a day": "86400",
    "a date in 2099": "Wed, 21 Oct 2099 07:28:00 GMT",
    "absurd": "1e999",
    "no number": "nan",
    "garbage": "soon",
    "a year of twenty digits": "Wed, 21 Oct 99999999999999999999 07:28:00 GMT",
    "an offset of twenty digits": "Wed, 21 Oct 2015 07:28:00 +99999999999999999999",
    "bytes of no charset": "\xff\xfe",
}


def refusals(dialect: Dialect) -> dict[str, Script]:
    """Error statuses, with the vendor's body or with none of its protocol."""
    found = {kind.replace("_", " "): reply(*transcripts.error(dialect, kind)) for kind in KINDS}
    for status in STATUSES:
        page = b"<html><title>It went wrong</title></html>"
        found[f"{status} with a page"] = reply(status, page, media_type="text/html")
    latin = '{"error": {"message": "mißglückt", "type": "server_error"}}'.encode("latin-1")
    found["500 in Latin-1"] = reply(500, latin)
    found["500 without a body"] = reply(500, b"")
    found["503 that breaks off"] = reply(503, b"x" * 100, cut_after=10)
    found["a redirect"] = reply(307, b"", headers={"location": "http://127.0.0.1:9/v1"})
    status, body = transcripts.error(dialect, "rate_limited")
    for form, value in RETRY_AFTER.items():
        headers = {"retry-after": value} if value else {}
        found[f"429, Retry-After: {form}"] = reply(status, body, headers=headers)
    return found


def silent() -> dict[str, Script]:
    """No answer, or the beginning of one."""
    return {
        "reset before a byte": RESET,
        "closed before a byte": CLOSE,
        "no first byte": SILENCE,
        "reset in the head": (Send(b"HTTP/1.1 200 OK\r\ncontent-"), *RESET),
        "not HTTP": (Send(b"\x16\x03\x01 hello\r\n\r\n"), *CLOSE),
    }


def whole(dialect: Dialect) -> dict[str, Script]:
    """Of an answer that is not streamed."""
    body = transcripts.body(dialect, transcripts.answer("from the first"))
    half = len(body) // 2
    error = transcripts.error(dialect, "server")[1]
    empty = transcripts.body(dialect, transcripts.answer("", usage=(5, 0)))
    return {
        "reset after the head": reply(body=body, cut_after=0, ending=RESET),
        "reset in the body": reply(body=body, cut_after=half, ending=RESET),
        "closed in the body": reply(body=body, cut_after=half),
        "silence after the head": reply(body=body, cut_after=0, ending=SILENCE),
        "silence in the body": reply(body=body, cut_after=half, ending=SILENCE),
        "half an answer, well framed": reply(body=body[:half]),
        "no UTF-8": reply(body=body.replace(b"from", b"\xff\xfe")),
        "an empty body": reply(body=b""),
        "a page": reply(body=b"<html>hello</html>", media_type="text/html"),
        "compressed": reply(body=body, headers={"content-encoding": "gzip"}),
        "an error inside a 200": reply(body=error),
        "an overload inside a 200": reply(body=transcripts.error(dialect, "overloaded")[1]),
        "an answer without content": reply(body=empty),
    }


def streamed(dialect: Dialect) -> dict[str, Script]:
    """Of a stream, before its first content."""
    frames = transcripts.staged(dialect, transcripts.answer("from the first"))
    opening = [frame.data for frame in frames if frame.stage == "open"]
    first = opening[0]
    everything = [frame.data for frame in frames]
    error = transcripts.error(dialect, "server")[1]
    empty = transcripts.frames(dialect, transcripts.answer("", usage=(5, 0)))
    return {
        "reset after the head": stream(everything, cut_after=0, ending=RESET),
        "silence after the head": stream(everything, cut_after=0, ending=SILENCE),
        "no event at all": stream([]),
        "ended before content": stream(opening),
        "closed in the first frame": stream([first], cut_after=len(first) - 4),
        "silence before content": stream(everything, cut_after=len(first), ending=SILENCE),
        "only comments, for ever": (
            Send(head(200, {"content-type": SSE, "connection": "close"})),
            *(Send(b": keep-alive\n\n") for _ in range(3)),
            *SILENCE,
        ),
        "garbled first frame": stream([b"data: {garbage\n\n", *everything]),
        "no UTF-8": stream([frame.replace(b"from", b"\xff\xfe") for frame in everything]),
        "an endless line": stream([b"data: " + ENDLESS]),
        "an error event first": stream([transcripts.error_frame(dialect, "server")]),
        "an overload event first": stream([transcripts.error_frame(dialect, "overloaded")]),
        "an error inside a 200": reply(body=error),
        "a page": reply(body=b"<html>hello</html>", media_type="text/html"),
        "an answer without content": stream(empty),
    }


def later(dialect: Dialect) -> dict[str, Script]:
    """Of a stream that has begun: two words of content have gone out."""
    frames = transcripts.staged(dialect, transcripts.answer("one two three four"))
    before_end = [frame.data for frame in frames if frame.stage != "end"]
    contents = [at for at, frame in enumerate(frames) if frame.stage == "content"]
    some = [frame.data for frame in frames[: contents[1] + 1]]
    size = sum(map(len, some))
    more = [*some, before_end[-1]]
    return {
        "reset": stream(more, cut_after=size, ending=RESET),
        "closed in a frame": stream(more, cut_after=size + 9),
        "idle gap": stream(more, cut_after=size, ending=SILENCE),
        "ended in the middle": stream(some),
        "no end marker": stream(before_end),
        "ended by its close": stream(some, framing="close"),
        "garbled frame": stream([*some, b"data: {garbage\n\n", *before_end]),
        "no UTF-8": stream([frame.replace(b"three", b"\xff\xfe") for frame in before_end]),
        "an endless line": stream([*some, b"data: " + ENDLESS]),
        "an error event": stream([*some, transcripts.error_frame(dialect, "server")]),
        "an overload event": stream([*some, transcripts.error_frame(dialect, "overloaded")]),
        "a rate limit event": stream([*some, transcripts.error_frame(dialect, "rate_limited")]),
        "broken chunks": (*stream(more, cut_after=size)[:-1], Send(b"zz\r\n"), Close()),
    }


class Cut(NamedTuple):
    """A stream that breaks somewhere."""

    where: str
    script: Script
    has_begun: bool  # whether content came before
    text: str  # that came before, without reasoning and calls


def cuts(dialect: Dialect) -> Iterator[Cut]:
    """A stream with everything in it, cut at every event and in every frame."""
    said = transcripts.answer("one two", reasoning="hm so", calls=[("add", '{"a": 1}')])
    staged = transcripts.staged(dialect, said)
    frames = [frame.data for frame in staged]
    for at in range(len(frames)):
        size = sum(map(len, frames[:at]))
        scripts = {
            f"ended before frame {at}": stream(frames[:at]),
            f"closed in frame {at}": stream(frames, cut_after=size + len(frames[at]) // 2),
            f"reset before frame {at}": stream(frames, cut_after=size, ending=RESET),
        }
        begun = any(frame.stage == "content" for frame in staged[:at])
        for where, script in scripts.items():
            yield Cut(where, script, begun, _text(dialect, frames[:at]))


def _text(dialect: Dialect, frames: list[bytes]) -> str:
    """What of the text the frames carry."""
    mark = '"content":"' if dialect is OPENAI else '"text_delta","text":"'
    text = b"".join(frames).decode()
    return "".join(piece.partition('"')[0] for piece in text.split(mark)[1:])


def usages(dialect: Dialect) -> dict[str, tuple[Script, Script]]:
    """Complete answers that say something odd of what they used: whole, and streamed."""
    said: dict[str, tuple[int, int] | None] = {
        "none": None,
        "negative": (-5, -7),
        "negative output": (10, -7),
        "absurd": (10**15, 10**15),
        "beyond 64 bits": (10**30, 5),
    }
    found = {}
    for name, usage in said.items():
        answer = transcripts.answer("one two three four", usage=usage)
        if usage is not None and usage[0] > 2**63:
            answer = transcripts.answer("one two three four", usage=(123454321, 5))
        bodies = [transcripts.body(dialect, answer), *transcripts.frames(dialect, answer)]
        bodies = [body.replace(b"123454321", str(10**30).encode()) for body in bodies]
        found[name] = (reply(body=bodies[0]), stream(bodies[1:]))
    return found


@contextlib.contextmanager
def addresses(folder: Path) -> Iterator[dict[str, str]]:
    """Where no request can be sent, by what is wrong there."""
    with closed_port() as refusing, _tls_server(folder) as self_signed, _plain_server() as plain:
        yield {
            "refused": refusing,
            "no such name": "http://nowhere.invalid:9",
            "a name that is none": "http://a..b:9",
            "a certificate of its own": self_signed,
            "no TLS there": plain,
        }


@contextlib.contextmanager
def _tls_server(folder: Path) -> Iterator[str]:
    """Speaks TLS, with a certificate that nobody vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(folder))
    with _serving(context) as port:
        yield f"https://localhost:{port}"


@contextlib.contextmanager
def _plain_server() -> Iterator[str]:
    with _serving(None) as port:
        yield f"https://127.0.0.1:{port}"


@contextlib.contextmanager
def _serving(context: ssl.SSLContext | None) -> Iterator[int]:
    """A port that shakes hands, and answers 400 to whatever is no TLS."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return  # closed: the test is over
            with accepted, contextlib.suppress(OSError):
                accepted.settimeout(5)
                if context is None:
                    accepted.recv(65536)
                    accepted.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                else:
                    context.wrap_socket(accepted, server_side=True).close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def _self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "self-signed.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
