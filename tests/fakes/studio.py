"""The local voice and pictures themselves, on a thread: what they make is real."""

import contextlib
import threading
from collections.abc import Iterator

from ccapi.devserver.local_media import Server


@contextlib.contextmanager
def studio() -> Iterator[str]:
    """Its address."""
    server = Server(0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
