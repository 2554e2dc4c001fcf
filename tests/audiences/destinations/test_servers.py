"""The fault that stands between a client and a real server does what a destination's tests say of it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.audiences.destinations.servers import Proxy

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@contextlib.contextmanager
def client_of(pieces: list[bytes]) -> Iterator[socket.socket]:
    """A client behind a proxy that loses the answer to a PUT, of a server that answers in these pieces."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError), contextlib.closing(listener.accept()[0]) as one:
            for piece in pieces:
                one.recv(65536)
                one.sendall(piece)
            one.recv(65536)

    threading.Thread(target=serve, daemon=True).start()
    proxy = Proxy(("127.0.0.1", listener.getsockname()[1]))
    proxy.lose_after = b"PUT /"
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        yield client
    proxy.close()
    listener.close()


def rest(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize(
    "pieces",
    [[DONE], [CONTINUE + DONE], [CONTINUE, DONE], [CONTINUE + CONTINUE, DONE], [CONTINUE + CONTINUE + DONE]],
    ids=["alone", "with it", "after it", "after two of it", "with two of it"],
)
def test_a_lost_answer_is_lost_in_however_many_pieces_it_comes(pieces: list[bytes]) -> None:
    interim = b"".join(pieces).removesuffix(DONE)
    with client_of(pieces) as client:
        client.sendall(b"PUT /current.json HTTP/1.1\r\nExpect: 100-continue\r\n\r\n")
        found = b""
        while len(found) < len(interim):
            found += client.recv(65536)
        if len(pieces) > 1:  # told to go on, it sends the body
            client.sendall(b"body")
        assert (found, rest(client)) == (interim, b"")
