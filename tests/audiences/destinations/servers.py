"""Real servers of one test session, and what can go wrong on the way to them."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

# ---------------------------------------------------------------- HTTP


@dataclass
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    status: int = 200
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)


class HttpServer:
    """A real HTTP server with an application and faults that meet the next requests.

    Faults: `lose` (applies, then drops the connection), `drop` (drops it before applying), `delay` (applies, answers
    too late), or a Reply to give instead of applying.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.faults: queue.SimpleQueue[str | Reply] = queue.SimpleQueue()
        self.application: Callable[[Request], Reply] = lambda request: Reply()
        self.delay = 0.6
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_request(self) -> None:
                path, _, query = self.path.partition("?")
                length = int(self.headers.get("Content-Length") or 0)
                request = Request(self.command, path, query, dict(self.headers.items()), self.rfile.read(length))
                outer.requests.append(request)
                try:
                    fault: str | Reply | None = outer.faults.get_nowait()
                except queue.Empty:
                    fault = None
                if fault == "drop":
                    return self.hang_up()
                reply = fault if isinstance(fault, Reply) else outer.application(request)
                if fault == "lose":
                    return self.hang_up()
                if fault == "delay":
                    time.sleep(outer.delay)
                data = b"" if reply.body is None else json.dumps(reply.body).encode()
                with contextlib.suppress(OSError):
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                return None

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request  # noqa: N815

            def hang_up(self) -> None:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def reset(self) -> None:
        self.requests.clear()
        while not self.faults.empty():
            self.faults.get()
        self.application = lambda request: Reply()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


# ---------------------------------------------------------------- TCP in the middle


class Proxy:
    """Stands between a client and a real server.

    `lose_after` = bytes: what the client sends is passed on; once these bytes went by, the server's answer is
    swallowed and both ends are closed. `cut_at` = bytes: they are never passed on, both ends are closed at once.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.lose_after: bytes | None = None
        self.cut_at: bytes | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self.target)
                state = {"swallow": False}
                threading.Thread(target=self._forth, args=(client, server, state), daemon=True).start()
                threading.Thread(target=self._back, args=(server, client, state), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket, state: dict[str, bool]) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self.cut_at and self.cut_at in data:
                    self.cut_at = None
                    break
                if self.lose_after and self.lose_after in data:
                    self.lose_after = None
                    state["swallow"] = True
                server.sendall(data)
        self._end(client, server, state)

    def _back(self, server: socket.socket, client: socket.socket, state: dict[str, bool]) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if state["swallow"]:
                    break
                client.sendall(data)
        self._end(client, server, {"swallow": False})

    @staticmethod
    def _end(client: socket.socket, server: socket.socket, state: dict[str, bool]) -> None:
        if state["swallow"]:
            return
        for one in (client, server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


# ---------------------------------------------------------------- PostgreSQL


def postgres_binaries() -> Path | None:
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    on_path = shutil.which("initdb")
    found += [Path(on_path).resolve().parent] if on_path else []
    return next((path for path in found if (path / "initdb").exists() and (path / "postgres").exists()), None)


def _ordinary_user() -> pwd.struct_passwd | None:
    """Who runs the server: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip("PostgreSQL refuses to run as root and there is no user postgres or nobody")


@contextlib.contextmanager
def postgres_server() -> Iterator[tuple[str, int]]:
    """A PostgreSQL server of this session only: its own data, its own port, without fsync."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    user = _ordinary_user()
    folder = Path(tempfile.mkdtemp(prefix="ritorno-postgres-", dir="/tmp"))
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        ids: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        return subprocess.run(command, text=True, capture_output=True, cwd=folder, env={"LC_ALL": "C"}, **ids)

    try:
        data = folder / "data"
        made = run(str(binaries / "initdb"), "-D", str(data), "-U", "ritorno", "-A", "trust", "-N", "--no-instructions")
        assert made.returncode == 0, made.stderr
        port = free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        log = folder / "log"
        started = run(str(binaries / "pg_ctl"), "-D", str(data), "-l", str(log), "-w", "-o", options, "start")
        assert started.returncode == 0, started.stderr + (log.read_text() if log.exists() else "")
        try:
            yield "127.0.0.1", port
        finally:
            run(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
