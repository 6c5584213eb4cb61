"""Clients on a bare socket: they leave when told to, and read when told to."""

import json
import socket
from urllib.parse import urlsplit

from tests.e2e.stack import Account, Web

MESSAGES = [{"role": "user", "content": "Count to four."}]
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


def request(account: Account, path: str, **body: object) -> bytes:
    """A chat request as bytes."""
    payload = json.dumps({"messages": MESSAGES, "max_tokens": 900, **body}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {account.api_key}\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


def connect(web: Web, *, receive_bytes: int | None = None) -> socket.socket:
    """A connection, where asked with a receive buffer so small that the server feels it."""
    client = socket.socket()
    if receive_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(10)
    parts = urlsplit(web.url)
    client.connect((parts.hostname, parts.port))
    return client


def ask(web: Web, account: Account, path: str, **body: object) -> socket.socket:
    """A request that is under way; close it to leave."""
    client = connect(web)
    client.sendall(request(account, path, **body))
    return client


def read_until(client: socket.socket, text: bytes) -> bytes:
    """What has come once this has. Raises: EOFError where it does not."""
    data = bytearray()
    while data.find(text, max(0, len(data) - 65536 - len(text))) < 0:
        piece = client.recv(65536)
        if not piece:
            raise EOFError(bytes(data[-2000:]))
        data += piece
    return bytes(data)
