"""Real servers of one test session, and what can go wrong on the way to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pwd
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from filelock import FileLock

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


INTERIM, BLANK = b"HTTP/1.1 100", b"\r\n\r\n"


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
        kept = b""
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if not state["swallow"]:
                    client.sendall(data)
                    continue
                # "100 Continue" is no answer yet: the client waits for it before it sends the body. After a second it
                # sends it anyway, so a busy server's answer may come in one piece with it; some say it twice.
                kept += data
                while kept.startswith(INTERIM) and BLANK in kept:
                    interim, _, kept = kept.partition(BLANK)
                    client.sendall(interim + BLANK)
                if kept and not kept.startswith(INTERIM):
                    break
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
    # a short path, for the socket's sake
    folder = Path(tempfile.mkdtemp(prefix="ritorno-postgres-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT") or "/tmp"))
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


def new_database(host: str, port: int, name: str) -> str:
    """A database of such a server that holds every character; its URL."""
    con = psycopg2.connect(host=host, port=port, user="ritorno", dbname="postgres")
    con.autocommit = True
    con.cursor().execute(f"create database {name} encoding 'UTF8' template template0")
    con.close()
    return f"postgresql://ritorno@{host}:{port}/{name}"


# ---------------------------------------------------------------- GNU Mailman

MAILMAN = ("mailman==3.3.10", "sqlalchemy<2.1")
MAILMAN_HOME = Path(sys.prefix) / "mailman-3.3.10"
MAILMAN_CONFIG = """
[mailman]
layout: here
site_owner: owner@lists.example
[paths.here]
var_dir: {folder}
[webservice]
hostname: 127.0.0.1
port: {port}
admin_user: restadmin
admin_pass: restpass
workers: 1
[mta]
incoming: mailman.mta.null.NullMTA
[database]
class: mailman.database.sqlite.SQLiteDatabase
url: sqlite:///{folder}/mailman.db
"""


def mailman_environment() -> Path:
    """Mailman wants SQLAlchemy below 2.1, so it lives in an environment of its own, made once (8 s) and kept."""
    runner = MAILMAN_HOME / "bin" / "runner"
    if (MAILMAN_HOME / ".ready").exists() and runner.exists():
        return runner
    with FileLock(MAILMAN_HOME.with_suffix(".lock"), timeout=120):
        if not (MAILMAN_HOME / ".ready").exists():
            uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
            if uv is None:
                pytest.skip("Mailman needs an environment of its own, and there is no uv to make it")
            shutil.rmtree(MAILMAN_HOME, ignore_errors=True)
            for command in (
                [uv, "venv", "--quiet", "--python", sys.executable, str(MAILMAN_HOME)],
                [uv, "pip", "install", "--quiet", "--python", str(MAILMAN_HOME / "bin" / "python"), *MAILMAN],
            ):
                try:
                    made = subprocess.run(command, capture_output=True, text=True, timeout=90)
                except subprocess.TimeoutExpired:
                    pytest.skip("Mailman could not be installed within 90 s")
                if made.returncode:
                    pytest.skip(f"Mailman can't be installed here: {made.stderr.strip()[-300:]}")
            (MAILMAN_HOME / ".ready").touch()
    return runner


@contextlib.contextmanager
def mailman_server() -> Iterator[str]:
    """Mailman's REST runner with a database of its own; nothing is ever mailed."""
    runner = mailman_environment()
    folder = Path(tempfile.mkdtemp(prefix="ritorno-mailman-", dir="/tmp"))
    port = free_port()
    config = folder / "mailman.cfg"
    config.write_text(MAILMAN_CONFIG.format(folder=folder, port=port))
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [str(runner), "-C", str(config), "--runner=rest:0:1"],
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "MAILMAN_CONFIG_FILE": str(config)},
    )
    url = f"http://127.0.0.1:{port}/3.1"
    try:
        give_up = time.monotonic() + 40
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/system/versions", auth=MAILMAN_LOGIN, timeout=5).status_code == 200:
                    break
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < give_up, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


MAILMAN_LOGIN = ("restadmin", "restpass")


# ---------------------------------------------------------------- S3


@contextlib.contextmanager
def s3_server() -> Iterator[tuple[str, int]]:
    """moto's server: S3 over HTTP, which enforces conditional puts."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()
    finally:
        server.stop()


# ---------------------------------------------------------------- SFTP


class SftpServer:
    """asyncssh's server on a folder, with a key of its own, in a thread."""

    def __init__(self, root: Path) -> None:
        import asyncssh

        self.root = root
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = self.key.export_public_key().decode().strip()
        self.fault: str | None = None
        """`lose`: the next pointer is renamed, then the connection dies; `drop`: it dies at the next part."""
        self._loop = asyncio.new_event_loop()
        outer = self
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        class Password(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                return True

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                return (username, password) == ("ritorno", "sesame")

        class Faulty(asyncssh.SFTPServer):
            def hang_up(self) -> None:
                outer.fault = None
                self.channel.get_connection().abort()

            def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
                if outer.fault == "drop" and b"/parts/" in newpath:
                    return self.hang_up()
                super().posix_rename(oldpath, newpath)
                if outer.fault == "lose" and newpath.endswith(b"current.json"):
                    self.hang_up()
                return None

        async def listen() -> Any:
            return await asyncssh.create_server(
                Password,
                "127.0.0.1",
                0,
                server_host_keys=[self.key],
                sftp_factory=lambda channel: Faulty(channel, chroot=str(root).encode()),
            )

        self._server = asyncio.run_coroutine_threadsafe(listen(), self._loop).result(20)
        self.port = int(self._server.get_port())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
