"""Which files belong to which raw table: sources as the user names them, resolved to files."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ritorno.contract import RawTable, systems
from ritorno.errors import UnusableInput
from ritorno.home import PROJECT_ROOT

CSV_SUFFIXES = frozenset({".csv", ".tsv"})
PARQUET_SUFFIXES = frozenset({".parquet"})
SUFFIXES = CSV_SUFFIXES | PARQUET_SUFFIXES


@dataclass(frozen=True)
class Source:
    """What the user pointed at: a folder or a file of one source system."""

    system: str
    path: Path


@dataclass(frozen=True)
class RawFile:
    """A file that belongs to a raw table.

    Attributes:
        path: absolute, symbolic links kept: the name under which a delivery comes is its identity, so a folder link
            that is switched to the next release replaces rows instead of doubling them.
        given: the path as it was found, for messages.
    """

    table: RawTable
    path: Path
    given: Path

    @property
    def is_parquet(self) -> bool:
        """True if the name says Parquet."""
        return self.path.suffix.lower() in PARQUET_SUFFIXES


@dataclass(frozen=True)
class Discovery:
    """The files to land and what stood beside them and was not understood."""

    files: tuple[RawFile, ...]
    unknown: tuple[str, ...]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' Did you mean …?' for the nearest known name, else an empty string."""
    near = difflib.get_close_matches(name.lower(), {item.lower(): item for item in known}, n=1, cutoff=0.6)
    originals = {item.lower(): item for item in known}
    return f" Did you mean {originals[near[0]]!r}?" if near else ""


def parse_source(text: str, root: Path = PROJECT_ROOT) -> Source:
    """A source from `SYSTEM=PATH`.

    Raises:
        UnusableInput: the text has another form, or nobody knows the system.
    """
    system, equals, path = (part.strip() for part in text.partition("="))
    known = tuple(systems(root))
    if not equals or not system or not path:
        raise UnusableInput(f"--source {text!r}: expected SYSTEM=PATH, for example online_retail=lines.parquet.")
    if system not in known:
        raise UnusableInput(
            f"--source {text!r}: no source system {system!r}; known: {', '.join(known)}.{did_you_mean(system, known)}"
            f" A system is a folder models/staging/{system}/ with a _{system}__sources.yml."
        )
    return Source(system, Path(path).expanduser())


def discover(sources: Sequence[Source], root: Path = PROJECT_ROOT) -> Discovery:
    """Every file of the sources, in the order in which it is landed (system, table, name).

    Raises:
        UnusableInput: a path doesn't exist, a bare file fits no table, or a system is unknown.
    """
    files: dict[Path, RawFile] = {}
    unknown: list[str] = []
    for source in sources:
        tables = systems(root).get(source.system)
        if tables is None:
            raise UnusableInput(f"No source system {source.system!r}.{did_you_mean(source.system, systems(root))}")
        for item in _resolve(source, tables):
            if isinstance(item, str):
                unknown.append(item)
            else:
                files.setdefault(item.path, item)
    order = {table.identifier: at for at, table in enumerate(t for s in systems(root).values() for t in s.values())}
    ordered = sorted(files.values(), key=lambda file: (order[file.table.identifier], str(file.path)))
    return Discovery(tuple(ordered), tuple(unknown))


def _resolve(source: Source, tables: Mapping[str, RawTable]) -> Iterator[RawFile | str]:
    path = source.path
    if not path.exists():
        raise UnusableInput(f"{path}: no such file or folder. Check the path given for the system {source.system!r}.")
    if path.is_file():
        yield _bare_file(path, source.system, tables)
    elif len(tables) == 1:
        yield from _folder(path, next(iter(tables.values())))
    else:
        yield from _raw_folder(path, source.system, tables)


def _bare_file(path: Path, system: str, tables: Mapping[str, RawTable]) -> RawFile:
    if path.suffix.lower() not in SUFFIXES:
        raise UnusableInput(f"{path}: not named .csv or .parquet. Export the table as one of them and name it so.")
    table = tables.get(path.stem.lower()) or (next(iter(tables.values())) if len(tables) == 1 else None)
    if table is None:
        raise UnusableInput(
            f"{path}: {path.stem!r} is no raw table of {system!r}.{did_you_mean(path.stem, tables)}"
            f" Name the file after its table, one of: {', '.join(tables)}."
        )
    return _file(path, table)


def _raw_folder(folder: Path, system: str, tables: Mapping[str, RawTable]) -> Iterator[RawFile | str]:
    for path in sorted(folder.iterdir()):
        if _is_hidden(path):
            continue
        name = path.name.lower() if path.is_dir() else path.stem.lower()
        known_suffix = path.is_dir() or path.suffix.lower() in SUFFIXES
        if name in tables and path.is_dir():
            yield from _folder(path, tables[name])
        elif name in tables and known_suffix:
            yield _file(path, tables[name])
        elif name in tables:
            yield f"{path}: not read, since it is not named .csv or .parquet. Export {name} as one of them."
        else:
            hint = did_you_mean(name, tables)
            yield f"{path}: not read, since {name!r} is no raw table of {system!r}.{hint}"


def _folder(folder: Path, table: RawTable) -> Iterator[RawFile | str]:
    """Every batch below a table's folder; subfolders too, since exports like to partition."""
    for path in sorted(folder.rglob("*")):
        if any(_is_hidden(Path(part)) for part in path.relative_to(folder).parts) or path.is_dir():
            continue
        if path.suffix.lower() in SUFFIXES:
            yield _file(path, table)
        else:
            yield f"{path}: not read, since it is not named .csv or .parquet."


def _file(path: Path, table: RawTable) -> RawFile:
    return RawFile(table, Path(os.path.abspath(path)), path)  # noqa: PTH100  Path.resolve would follow links


def _is_hidden(path: Path) -> bool:
    """Leftovers of systems and tools (.DS_Store, _SUCCESS, .orders.csv.tmp) are nobody's table."""
    return path.name.startswith((".", "_"))
