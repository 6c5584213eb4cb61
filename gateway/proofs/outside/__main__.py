"""`python -m gateway.proofs.outside`: says where its providers are, then carries out orders.

One JSON line in, an `Order`; one JSON line out, the `Account` of what happened. Ends with its
standard input.
"""

import asyncio
import socket
import sys

import msgspec
import uvloop

from gateway.proofs.outside import customers
from gateway.proofs.outside.provider import Providers
from gateway.proofs.records import Account, Addresses, Order

LINE_BYTES_MAX = 1_000_000


async def main() -> None:
    providers = Providers()
    closed = socket.socket()  # bound, so that nobody else takes it, and never listening
    closed.bind(("127.0.0.1", 0))
    url = await providers.listen()
    _say(Addresses(open=url, closed=f"http://127.0.0.1:{closed.getsockname()[1]}"))
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        order = msgspec.json.decode(line, type=Order)
        providers.take(order)
        seen = await customers.carry_out(order)
        _say(Account(seen=seen, served=providers.served))


def _say(value: msgspec.Struct) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
