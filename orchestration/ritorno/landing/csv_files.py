"""CSV files: is this one, how is it written, and which of its rows are broken.

DuckDB reads the values. What it can't give is here: a physical line for every row, and a reason for every broken
row without losing its neighbours (DuckDB's own reject table counts a record's lines, not the file's, and a stray
quote swallows the good rows after it). So every file is scanned once; a clean one, nearly all are, is then read by
DuckDB as it is and row n stands in line n + 1. Only from a file with a broken, blank or multi-line row the good rows
are copied to a scratch file with their line in front.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ritorno.errors import UnusableInput

DELIMITERS = (",", ";", "\t", "|")
MAX_RECORD_BYTES = 1_900_000
"""DuckDB refuses longer lines (2 MB by default)."""
VALUE_SHOWN = 1_000
"""Characters of a broken row that go to quarantine."""
_CHUNK = 1 << 22
_BOM = codecs.BOM_UTF8
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "a Parquet file. Name it .parquet"),
    (b"PK\x03\x04", "a ZIP archive or spreadsheet (xlsx). Export the sheet as CSV (UTF-8)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file (xls). Export the sheet as CSV (UTF-8)"),
    (b"\x1f\x8b", "gzip-compressed. Decompress it"),
    (codecs.BOM_UTF16_LE, "encoded as UTF-16. Save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "encoded as UTF-16. Save it as UTF-8"),
    (b"%PDF", "a PDF. Export the table as CSV (UTF-8)"),
)


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written: its delimiter and the names in its header."""

    delimiter: str
    header: tuple[str, ...]

    @cached_property
    def _field(self) -> bytes:
        d = re.escape(self.delimiter.encode())
        # Possessive, so that no input makes the match take long. Blanks around quotes are dropped by DuckDB too.
        return rb'(?: *+"[^"]*+(?:""[^"]*+)*+" *+(?=' + d + rb"|\Z)| *+(?:[^ " + d + rb'"\r\n][^' + d + rb"\r\n]*+)?+)"

    @cached_property
    def field(self) -> re.Pattern[bytes]:
        """One field, quoted or not, up to its delimiter."""
        return re.compile(self._field)

    @cached_property
    def record(self) -> re.Pattern[bytes]:
        """A record with exactly as many fields as the header."""
        d = re.escape(self.delimiter.encode())
        return re.compile(self._field + rb"(?:" + d + self._field + rb"){%d}" % (len(self.header) - 1))

    def fields(self, record: bytes) -> tuple[int, int | None]:
        """(number of fields, None) of a well-formed record, else (index of the broken field, its offset)."""
        at, count, d = 0, 0, self.delimiter.encode()
        while True:
            match = self.field.match(record, at)
            end = match.end() if match else at
            if end == len(record):
                return count + 1, None
            if record[end : end + 1] != d:
                return count, at
            at, count = end + 1, count + 1


@dataclass(frozen=True)
class Scan:
    """What one pass over a CSV file tells.

    Attributes:
        is_clean: every record stands in one line of its own and has the header's number of fields.
        rows: records of a clean file.
    """

    dialect: Dialect
    sha256: str
    is_clean: bool
    rows: int


@dataclass(frozen=True)
class Reject:
    """A structurally broken row."""

    line: int
    column: str | None
    value: str
    reason: str


@dataclass(frozen=True)
class Row:
    """A well-formed row: its first physical line and its bytes without the line end."""

    line: int
    record: bytes


def scan(path: Path, known_columns: Collection[str]) -> Scan:
    """Read the file once: refuse what is no CSV, and say how it is written.

    Raises:
        UnusableInput: empty, binary, not UTF-8, or without a usable header.
    """
    _refuse_other_kinds(path)
    dialect = read_dialect(path, known_columns)
    digest = hashlib.sha256()
    state = _Cleanliness(dialect)
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines_before, carry = 0, b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            _refuse_undecodable(path, decoder, chunk, lines_before)
            lines_before += chunk.count(b"\n")
            if state.is_clean:
                *lines, carry = (carry + chunk).split(b"\n")
                state.feed(lines)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise UnusableInput(
            f"{path}, line {lines_before + 1}: the file ends in the middle of a character, so it was cut off. "
            "Deliver it again in full."
        ) from error
    state.feed_last(carry)
    return Scan(dialect, digest.hexdigest(), state.is_clean, max(state.rows, 0))


class _Cleanliness:
    """Is each line a record of its own, with the header's number of fields and the header's line end?"""

    def __init__(self, dialect: Dialect) -> None:
        self.is_clean = True
        self.rows = -1  # the header is no row
        self._dialect = dialect
        self._crlf: bool | None = None

    def feed(self, lines: list[bytes]) -> None:
        delimiter, record = self._dialect.delimiter.encode(), self._dialect.record
        wanted = len(self._dialect.header) - 1
        for line in lines:
            body = line
            if self._crlf is None:
                self._crlf = line.endswith(b"\r")
                body = line.removeprefix(_BOM)
            if self._crlf:
                body, is_ended = body[:-1], body.endswith(b"\r")
            else:
                is_ended = True
            plain = b'"' not in body and b"\r" not in body
            fits = body.count(delimiter) == wanted if plain else record.fullmatch(body) is not None
            if not (fits and is_ended and len(body) < MAX_RECORD_BYTES) or _is_blank(body, delimiter):
                self.is_clean = False
                return
        self.rows += len(lines)

    def feed_last(self, line: bytes) -> None:
        """The last line may lack its line end."""
        if line and self.is_clean:
            self.feed([line + b"\r" if self._crlf and not line.endswith(b"\r") else line])


def read_dialect(path: Path, known_columns: Collection[str]) -> Dialect:
    """Delimiter and header: the delimiter that gives the most known column names, then the most columns.

    Better than guessing from the values, which may hold any of the four.
    """
    header = _header_record(path)
    known = {name.strip().lower() for name in known_columns}
    best: Dialect | None = None
    best_score = (-1, -1)
    for delimiter in DELIMITERS:
        names = tuple(split_header(header, delimiter))
        score = (sum(name.strip().lower() in known for name in names), len(names))
        if score > best_score:
            best, best_score = Dialect(delimiter, names), score
    assert best is not None
    return best


def split_header(record: str, delimiter: str) -> list[str]:
    """The names in a header, unquoted and trimmed."""
    try:
        row = next(csv.reader([record], delimiter=delimiter, skipinitialspace=True))
    except (csv.Error, StopIteration):
        return [record.strip()]
    return [name.strip() for name in row]


def _header_record(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(MAX_RECORD_BYTES)
    if b"\x00" in head:
        line = head[: head.index(b"\x00")].count(b"\n") + 1
        raise UnusableInput(
            f"{path}, line {line}: found a NUL byte, so this is a binary file or UTF-16, not CSV. "
            "Export the table as CSV (UTF-8) or Parquet."
        )
    if b"\n" not in head and head.count(b"\r") > 0:
        raise UnusableInput(
            f"{path}: its lines end in bare carriage returns (an old Macintosh export). Save it as CSV (UTF-8) "
            "with line feeds."
        )
    text = head.removeprefix(_BOM)
    if not text.strip():
        raise UnusableInput(
            f"{path}: the file is empty ({path.stat().st_size} bytes); the first line of a CSV must name its columns. "
            "Deliver it with a header, or remove it."
        )
    first = text.split(b"\n", 1)[0]
    if first.count(b'"') % 2:  # a quoted name with a line feed in it
        first = text[: _balanced(text)]
    try:
        return first.decode().strip("\r\n")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, 1, error) from error


def _balanced(text: bytes) -> int:
    end, at = 0, -1
    while (at := text.find(b"\n", at + 1)) >= 0:
        end = at
        if text.count(b'"', 0, at) % 2 == 0:
            break
    return end or len(text)


def _refuse_other_kinds(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(8)
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            raise UnusableInput(f"{path}: named {path.suffix} but by its content {kind}.")


def _refuse_undecodable(path: Path, decoder: codecs.IncrementalDecoder, chunk: bytes, lines_before: int) -> None:
    try:
        decoder.decode(chunk)
    except UnicodeDecodeError as error:
        raise _not_utf8(path, lines_before + error.object[: error.start].count(b"\n") + 1, error) from error
    if b"\x00" in chunk:
        line = lines_before + chunk[: chunk.index(b"\x00")].count(b"\n") + 1
        raise UnusableInput(f"{path}, line {line}: found a NUL byte. Export the table as CSV (UTF-8) without NULs.")


def _not_utf8(path: Path, line: int, error: UnicodeDecodeError) -> UnusableInput:
    found = error.object[error.start]
    return UnusableInput(
        f"{path}, line {line}: found the byte 0x{found:02X}, which is not UTF-8 (Windows-1252 or Latin-1?). "
        f"Save the file as UTF-8, for example: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > new.csv"
    )


def split(path: Path, dialect: Dialect) -> Iterator[Row | Reject]:
    """Every record after the header, good or broken, in order; blank lines are none.

    A broken row costs only its own line: after a quote that isn't closed reading goes on in the next line.
    """
    with path.open("rb") as file:
        lines = _Lines(file)
        _, header = next(lines)
        _take_record(header.removeprefix(_BOM), lines, dialect)  # it may span lines
        for number, line in lines:
            if not _is_blank(_strip_end(line), dialect.delimiter.encode()):
                yield _judge(number, line, lines, dialect)


class _Lines:
    """Numbered physical lines that can be given back."""

    def __init__(self, file: Iterable[bytes]) -> None:
        self._numbered = enumerate(file, start=1)
        self._pending: deque[tuple[int, bytes]] = deque()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self

    def __next__(self) -> tuple[int, bytes]:
        return self._pending.popleft() if self._pending else next(self._numbered)

    def give_back(self, lines: list[tuple[int, bytes]]) -> None:
        self._pending.extendleft(reversed(lines))


def _strip_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _is_blank(body: bytes, delimiter: bytes) -> bool:
    """No characters but blanks; tabs are blanks unless they delimit."""
    return not body or (body.isspace() and delimiter not in body)


def _judge(number: int, line: bytes, lines: _Lines, dialect: Dialect) -> Row | Reject:
    body, wanted = _strip_end(line), len(dialect.header)
    if len(body) > MAX_RECORD_BYTES:
        return Reject(number, None, _shown(body), f"the row is longer than {MAX_RECORD_BYTES:,} bytes")
    if b'"' not in body and b"\r" not in body:
        found = body.count(dialect.delimiter.encode()) + 1
        return Row(number, body) if found == wanted else _wrong_count(number, body, found, dialect)
    record = _take_record(line, lines, dialect)
    if record is not None:
        return Row(number, record)
    count, broken_at = dialect.fields(body)
    if broken_at is None:
        return _wrong_count(number, body, count, dialect)
    column = dialect.header[count] if count < wanted else None
    value = body[broken_at:]
    what = "text beside a quoted value, or a quote that is not closed" if b'"' in value else "a carriage return"
    return Reject(number, column, _shown(body), f"{what}: a value with quotes, delimiters or line ends is quoted whole")


def _take_record(line: bytes, lines: _Lines, dialect: Dialect) -> bytes | None:
    """The whole record that begins with `line`, taking further lines for an open quote; None if it is broken."""
    taken: list[tuple[int, bytes]] = []
    record = _strip_end(line)
    while dialect.record.fullmatch(record) is None:
        _, broken_at = dialect.fields(record)
        is_open = broken_at is not None and _is_open(record[broken_at:])
        more = _until_quote(lines, taken, line, len(record)) if is_open else None
        if more is None:
            lines.give_back(taken)
            return None
        record = record + more
    return record


def _is_open(rest: bytes) -> bool:
    """Does a quoted field begin here and not end?"""
    value = rest.lstrip(b" ")
    return value.startswith(b'"') and value[1:].replace(b'""', b"").count(b'"') == 0


def _until_quote(lines: _Lines, taken: list[tuple[int, bytes]], line: bytes, size: int) -> bytes | None:
    """The following lines up to the first with a quote, with the line ends between; None at the end or if too long."""
    found: list[bytes] = []
    previous_end = _end(taken[-1][1] if taken else line)
    for numbered in lines:
        taken.append(numbered)
        body = _strip_end(numbered[1])
        found.append(previous_end + body)
        size += len(found[-1])
        previous_end = _end(numbered[1])
        if size > MAX_RECORD_BYTES:
            return None
        if b'"' in body:
            return b"".join(found)
    return None


def _end(line: bytes) -> bytes:
    return line[len(_strip_end(line)) :]


def _wrong_count(number: int, body: bytes, found: int, dialect: Dialect) -> Reject:
    wanted = len(dialect.header)
    column = dialect.header[found] if found < wanted else None
    return Reject(number, column, _shown(body), f"{found} fields where the header names {wanted}")


def _shown(body: bytes) -> str:
    return body.decode("utf-8", "replace")[:VALUE_SHOWN]
