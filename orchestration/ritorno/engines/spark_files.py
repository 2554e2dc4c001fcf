"""The file system that a Spark cluster's tables stand on, seen from here: Hadoop's through the JVM, or pyarrow's."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from ritorno.errors import UnusableInput


class Files(Protocol):
    """What the engine does with files; a place is a URL, or a path without scheme."""

    def upload(self, folder: Path, place: str) -> None:
        """Put the files of a local folder into a place, in place of what stands there."""
        ...

    def download(self, place: str, folder: Path) -> None:
        """Copy the files of a place into a new local folder."""
        ...

    def delete(self, place: str) -> None:
        """Remove a folder or file, if it is there."""
        ...

    def read(self, place: str) -> str | None:
        """The text of a small file; None if it isn't there."""
        ...

    def write(self, place: str, text: str) -> None:
        """Write a small file."""
        ...

    def children(self, place: str) -> Sequence[str]:
        """The folders in a place, the oldest first."""
        ...


@dataclass(frozen=True)
class HadoopFiles:
    """Hadoop's file systems, through the JVM of a classic session: whatever the executors can read."""

    session: Any

    def upload(self, folder: Path, place: str) -> None:
        """See Files."""
        files, target = self._filesystem(place), self._path(place)
        files.delete(target, True)
        files.mkdirs(target)
        for file in sorted(folder.iterdir()):
            files.copyFromLocalFile(True, True, self._path(file.as_uri()), target)

    def download(self, place: str, folder: Path) -> None:
        """See Files."""
        self._filesystem(place).copyToLocalFile(self._path(place), self._path(folder.as_uri()))

    def delete(self, place: str) -> None:
        """See Files."""
        self._filesystem(place).delete(self._path(place), True)

    def read(self, place: str) -> str | None:
        """See Files."""
        files = self._filesystem(place)
        if not files.exists(self._path(place)):
            return None
        stream = files.open(self._path(place))
        try:
            return str(self._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
        finally:
            stream.close()

    def write(self, place: str, text: str) -> None:
        """See Files."""
        stream = self._filesystem(place).create(self._path(place), True)
        try:
            stream.write(bytearray(text, "utf-8"))
        finally:
            stream.close()

    def children(self, place: str) -> Sequence[str]:
        """See Files."""
        files = self._filesystem(place)
        if not files.exists(self._path(place)):
            return []
        found = [status for status in files.listStatus(self._path(place)) if status.isDirectory()]
        found.sort(key=lambda status: (status.getModificationTime(), status.getPath().getName()))
        return [f"{place}/{status.getPath().getName()}" for status in found]

    def size(self, place: str) -> int:
        """Bytes in a place."""
        return int(self._filesystem(place).getContentSummary(self._path(place)).getLength())

    def copy(self, source: str, place: str) -> None:
        """Copy a place, by way of this machine."""
        files = self._filesystem(place)
        files.mkdirs(self._path(place).getParent())
        self._jvm.org.apache.hadoop.fs.FileUtil.copy(
            self._filesystem(source), self._path(source), files, self._path(place), False, self._configuration
        )

    @property
    def _jvm(self) -> Any:  # noqa: ANN401
        return self.session.sparkContext._jvm

    @property
    def _configuration(self) -> Any:  # noqa: ANN401
        return self.session._jsparkSession.sessionState().newHadoopConf()

    def _path(self, url: str) -> Any:  # noqa: ANN401
        return self._jvm.org.apache.hadoop.fs.Path(url)

    def _filesystem(self, url: str) -> Any:  # noqa: ANN401
        return self._path(url).getFileSystem(self._configuration)


class ArrowFiles:
    """pyarrow's file systems, where there is no JVM here: a shared folder, s3://, gs://, abfs://, hdfs:// (libhdfs)."""

    def upload(self, folder: Path, place: str) -> None:
        """See Files."""
        files, target = _arrow(place)
        self.delete(place)
        files.create_dir(target, recursive=True)
        for file in sorted(folder.iterdir()):
            self._copy(file, place)

    def download(self, place: str, folder: Path) -> None:
        """See Files."""
        from pyarrow import fs

        folder.mkdir(parents=True)
        source, path = _arrow(place)
        fs.copy_files(path, str(folder), source_filesystem=source, destination_filesystem=fs.LocalFileSystem())

    def delete(self, place: str) -> None:
        """See Files."""
        from pyarrow import fs

        files, target = _arrow(place)
        found = files.get_file_info(target).type
        if found == fs.FileType.Directory:
            files.delete_dir(target)
        elif found == fs.FileType.File:
            files.delete_file(target)

    def read(self, place: str) -> str | None:
        """See Files."""
        from pyarrow import fs

        files, target = _arrow(place)
        if files.get_file_info(target).type == fs.FileType.NotFound:
            return None
        with files.open_input_stream(target) as stream:
            return str(stream.read().decode())

    def write(self, place: str, text: str) -> None:
        """See Files."""
        files, target = _arrow(place)
        files.create_dir(target.rsplit("/", 1)[0], recursive=True)
        with files.open_output_stream(target) as stream:
            stream.write(text.encode())

    def children(self, place: str) -> Sequence[str]:
        """See Files."""
        from pyarrow import fs

        files, target = _arrow(place)
        found = files.get_file_info(fs.FileSelector(target, allow_not_found=True))
        folders = [info for info in found if info.type == fs.FileType.Directory]
        folders.sort(key=lambda info: (info.mtime_ns or 0, info.base_name))
        return [f"{place}/{info.base_name}" for info in folders]

    def _copy(self, file: Path, place: str) -> None:
        files, target = _arrow(place)
        with file.open("rb") as source, files.open_output_stream(f"{target}/{file.name}") as stream:
            shutil.copyfileobj(source, stream, 1 << 20)


def _arrow(place: str) -> tuple[Any, str]:
    """pyarrow's file system of a place and the path there. Spark's s3a:// is pyarrow's s3://.

    Raises:
        UnusableInput: pyarrow knows no such file system, or can't reach it.
    """
    from pyarrow import fs

    local = local_path(place)
    if local is not None:
        return fs.LocalFileSystem(), str(local)
    try:
        files, path = fs.FileSystem.from_uri(place.replace("s3a://", "s3://", 1))
    except (OSError, ValueError) as error:
        raise UnusableInput(
            f"RITORNO_SPARK_WAREHOUSE={place}: can't be written from here ({error}); give a folder that this machine "
            "and the cluster share, or s3://, gs://, abfs:// or, with libhdfs, hdfs://"
        ) from error
    return files, path


def local_path(place: str) -> Path | None:
    """The folder of this machine that a place is, if it is one."""
    parts = urlsplit(place)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None
