"""A folder on an SFTP server: see filesets for the layout.

The server's key is pinned: another key is another server, and it gets nothing. Needs `posix-rename@openssh.com`, which
replaces a file in one step (OpenSSH, ProFTPD, asyncssh have it; SFTP's own rename refuses to replace).
"""

from __future__ import annotations

import asyncio
import posixpath
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from ritorno.audiences.destinations.base import NotSent, SendError, Unanswered
from ritorno.audiences.destinations.filesets import FileSet, Layout, Pointer, Store
from ritorno.audiences.destinations.settings import Settings
from ritorno.audiences.destinations.values import hush

if TYPE_CHECKING:
    import asyncssh

Found = TypeVar("Found")


class Sftp(FileSet):
    """CSV, JSON Lines or Parquet on somebody's SFTP server."""

    type: ClassVar[str] = "sftp"

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Settings: host, port (22), username, host_key, password_env or private_key_env, path, those of files."""
        read = Settings(cls.type, settings, environment)
        host = read.text("host")
        port = read.integer("port", 22, most=65_535)
        username = read.text("username")
        host_key = read.text("host_key")
        password = read.optional_secret("password_env")
        private_key = read.optional_secret("private_key_env")
        if (password is None) == (private_key is None):
            raise read.wrong("password_env", "or private_key_env is needed, one of the two")
        folder = read.text("path")
        layout = Layout.from_settings(read)
        max_batch = read.integer("max_batch", 100_000, most=1_000_000)
        timeout = read.seconds("timeout_seconds", 60.0)
        read.done()
        options = _credentials(read, host_key, password, private_key)
        return cls(SftpStore(host, port, username, options, folder, timeout), layout, max_batch)


class SftpStore(Store):
    """Files written beside their name and renamed, so that they are whole or absent."""

    def __init__(
        self, host: str, port: int, username: str, options: Mapping[str, Any], root: str, timeout: float
    ) -> None:
        self._host = host
        self._port = port
        self._username = username
        self._options = dict(options)
        self._root = root
        self._timeout = timeout
        self._portal: BlockingPortal | None = None
        self._portals = ExitStack()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None

    def read(self, name: str) -> bytes | None:
        """A file's content."""
        import asyncssh

        async def got(sftp: asyncssh.SFTPClient) -> bytes | None:
            try:
                async with sftp.open(self._path(name), "rb") as file:
                    data: bytes = await file.read()
                    return data
            except asyncssh.SFTPNoSuchFile:
                return None

        found: bytes | None = self._judged(f"read {name}", got)
        return found

    def write(self, name: str, data: bytes) -> None:
        """Whole or not at all."""

        async def put(sftp: asyncssh.SFTPClient) -> None:
            beside = await self._beside(sftp, name, data)
            await sftp.posix_rename(beside, self._path(name))

        self._judged(f"write {name}", put)

    def pointer(self, name: str) -> Pointer | None:
        """Its content is its token."""
        data = self.read(name)
        return Pointer(data, "") if data is not None else None

    def swap(self, name: str, data: bytes, expected: Pointer | None) -> None:
        """By rename. SFTP has no conditional put: that one run at a time writes an audience is the engine's lock."""
        if self.pointer(name) != expected:
            raise NotSent(f"{name} was changed by another writer: let one run at a time write an audience")
        beside = self._judged(f"write {name}", lambda sftp: self._beside(sftp, name, data))
        self._judged(f"replace {name}", lambda sftp: sftp.posix_rename(beside, self._path(name)), unknown=True)

    def names(self, folder: str) -> list[str]:
        """Files of a folder."""
        import asyncssh

        async def listed(sftp: asyncssh.SFTPClient) -> list[str]:
            try:
                found = [str(name) for name in await sftp.listdir(self._path(folder))]
            except asyncssh.SFTPNoSuchFile:
                return []
            return [f"{folder}/{name}" for name in found if name not in (".", "..")]

        found: list[str] = self._judged(f"list {folder}", listed)
        return found

    def delete(self, names: Iterable[str]) -> None:
        """Missing ones are fine."""
        import asyncssh

        async def deleted(sftp: asyncssh.SFTPClient, name: str) -> None:
            with suppress(asyncssh.SFTPNoSuchFile):
                await sftp.remove(self._path(name))

        for name in names:
            self._judged(f"delete {name}", lambda sftp, name=name: deleted(sftp, name))

    def close(self) -> None:
        """Close the connection."""
        portal, connection = self._portal, self._connection
        self._portal = self._connection = self._sftp = None
        with self._portals.pop_all():
            if portal is not None and connection is not None:
                portal.call(connection.abort)

    def _path(self, name: str) -> str:
        return posixpath.join(self._root, name)

    async def _beside(self, sftp: asyncssh.SFTPClient, name: str, data: bytes) -> str:
        import asyncssh

        folder, _, file_name = self._path(name).rpartition("/")
        await sftp.makedirs(folder, exist_ok=True)
        beside = f"{folder}/.{file_name}.{uuid.uuid4().hex}"
        async with sftp.open(beside, "wb") as file:
            await file.write(data)
            # Without fsync the server keeps its own promises about its disk.
            with suppress(asyncssh.SFTPOpUnsupported):
                await file.fsync()
        return beside

    def _judged(self, what: str, work: Any, unknown: bool = False) -> Any:  # noqa: ANN401  async generic lambdas
        """Run a call; its failure as the truth about the batch: `unknown` says that it may have been applied."""
        import asyncssh

        try:
            return self._run(self._on_connection, work)
        except asyncssh.SFTPOpUnsupported:
            raise NotSent(f"can't {what}: {self._host} has no posix-rename@openssh.com, which is needed") from None
        except asyncssh.SFTPConnectionLost:
            self.close()
            raise (Unanswered if unknown else NotSent)(f"can't {what}: the connection was lost") from None
        except asyncssh.SFTPError as error:
            raise NotSent(f"can't {what}: {self._host} answered {type(error).__name__}") from None
        except (asyncssh.Error, OSError, TimeoutError) as error:
            self.close()
            raise (Unanswered if unknown else NotSent)(f"can't {what}: {type(error).__name__}") from None
        except SendError:
            self.close()
            raise

    async def _on_connection(self, work: Any) -> Any:  # noqa: ANN401
        if self._sftp is None:
            self._sftp = await self._connect()
        return await asyncio.wait_for(work(self._sftp), self._timeout)

    async def _connect(self) -> asyncssh.SFTPClient:
        """Nothing was sent yet, so whatever fails here is `NotSent`."""
        import asyncssh

        hush("asyncssh")
        try:
            self._connection = await asyncssh.connect(
                self._host,
                self._port,
                username=self._username,
                config=None,
                agent_path=None,
                connect_timeout=min(15.0, self._timeout),
                login_timeout=self._timeout,
                keepalive_interval=30,
                **self._options,
            )
            return await self._connection.start_sftp_client()
        except asyncssh.HostKeyNotVerifiable:
            raise NotSent(
                f"{self._host} shows another key than host_key: if the server's owner confirms that it changed, set it"
            ) from None
        except asyncssh.PermissionDenied:
            raise NotSent(f"{self._host} refused the credentials of {self._username}") from None
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise NotSent(f"no connection to {self._host}:{self._port} ({type(error).__name__})") from None

    def _run(self, work: Callable[..., Awaitable[Found]], *given: object) -> Found:
        """In a thread of its own: whoever sends may have an event loop already, as a notebook has."""
        if self._portal is None:
            self._portal = self._portals.enter_context(start_blocking_portal())
        future = self._portal.start_task_soon(work, *given)
        try:
            return future.result()
        finally:
            future.cancel()  # if the sender was interrupted


def _credentials(read: Settings, host_key: str, password: str | None, private_key: str | None) -> dict[str, Any]:
    """What asyncssh wants: the pinned key for any name, and one way to log in."""
    import asyncssh

    try:
        pinned = asyncssh.import_public_key(host_key)
    except asyncssh.KeyImportError:
        raise read.wrong(
            "host_key", "is no public key: give the line that ssh-keyscan shows, such as 'ssh-ed25519 AAAA…'"
        ) from None
    options: dict[str, Any] = {"known_hosts": ([pinned], [], []), "server_host_key_algs": _algorithms(pinned)}
    if private_key is None:
        return {**options, "password": password, "client_keys": None, "preferred_auth": "password"}
    try:
        return {**options, "client_keys": [asyncssh.import_private_key(private_key)], "preferred_auth": "publickey"}
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise read.wrong("private_key_env", "names a variable that holds no unencrypted OpenSSH private key") from None


def _algorithms(pinned: Any) -> list[str]:  # noqa: ANN401  asyncssh.SSHKey
    """Ask for the pinned kind of key: a server with several would show another one first."""
    name = pinned.get_algorithm()
    return ["rsa-sha2-512", "rsa-sha2-256"] if name == "ssh-rsa" else [name]
