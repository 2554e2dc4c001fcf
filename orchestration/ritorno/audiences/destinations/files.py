"""A folder on this machine or a mounted one: see filesets for the layout."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Self

from filelock import FileLock, Timeout

from ritorno.audiences.destinations.base import NotSent, Unanswered
from ritorno.audiences.destinations.filesets import FileSet, Layout, Pointer, Store
from ritorno.audiences.destinations.settings import Settings


class Files(FileSet):
    """CSV, JSON Lines or Parquet in a folder."""

    type: ClassVar[str] = "files"

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Settings: path, format, part_rows, keep_versions, columns, max_batch (100,000)."""
        read = Settings(cls.type, settings, environment)
        folder = Path(read.text("path"))
        if not folder.is_absolute():
            raise read.wrong("path", f"is {str(folder)!r}: give an absolute path, a schedule runs from anywhere")
        if folder.exists() and not folder.is_dir():
            raise read.wrong("path", f"is {str(folder)!r}, a file: give a folder")
        layout = Layout.from_settings(read)
        max_batch = read.integer("max_batch", 100_000, most=1_000_000)
        read.done()
        return cls(LocalStore(folder), layout, max_batch)


class LocalStore(Store):
    """Files written beside their name, flushed to the disk and renamed, so that they are whole or absent."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> bytes | None:
        """A file's content."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed("read", name, error) from None

    def write(self, name: str, data: bytes) -> None:
        """Whole or not at all, readable by its owner and group only."""
        try:
            self._put(self._root / name, data)
        except OSError as error:
            raise _failed("write", name, error) from None

    def pointer(self, name: str) -> Pointer | None:
        """Its content is its token."""
        data = self.read(name)
        return Pointer(data, "") if data is not None else None

    def swap(self, name: str, data: bytes, expected: Pointer | None) -> None:
        """By rename, under a lock: two writers of one audience never both think they won."""
        path = self._root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_name(".lock"), timeout=10):
                if self.pointer(name) != expected:
                    raise NotSent(f"{name} was changed by another writer: let one run at a time write an audience")
                self._put(path, data)
        except Timeout:
            raise NotSent(f"{name} is locked by another writer") from None
        except OSError as error:
            raise (Unanswered if self._shows(path, data) else NotSent)(
                f"{name} could not be written ({error.strerror})"
            ) from None

    def names(self, folder: str) -> list[str]:
        """Files of a folder, half-written ones of a killed run included."""
        try:
            return [f"{folder}/{entry.name}" for entry in (self._root / folder).iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _failed("list", folder, error) from None

    def delete(self, names: Iterable[str]) -> None:
        """Missing ones are fine."""
        for name in names:
            try:
                (self._root / name).unlink(missing_ok=True)
            except OSError as error:
                raise _failed("delete", name, error) from None

    def close(self) -> None:
        """Nothing to release."""

    @staticmethod
    def _put(path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            # Addresses are nobody's business but the owner's and the group's.
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @staticmethod
    def _shows(path: Path, data: bytes) -> bool:
        try:
            return path.read_bytes() == data
        except OSError:
            return True


def _failed(what: str, name: str, error: OSError) -> NotSent:
    return NotSent(f"can't {what} {name} ({error.strerror})")
