"""What of a table has to be sent: its parts, each with a fingerprint, against what was sent before.

A part is sent again only if its rows changed. So a day's refresh sends what was landed that day, and not a raw table of
years once more. What a part is, and where the record of what was sent stands, is the engine's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from ritorno import sql

ONE = ""
"""The part of a table that is one."""


@dataclass(frozen=True)
class Changes:
    """What has to be done at the engine.

    Attributes:
        written: parts to be written,
        replaced: those of them that stand there with other rows,
        removed: parts that are gone.
        anew: whatever stands there goes first.
    """

    written: tuple[str, ...]
    replaced: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    anew: bool = False

    def __bool__(self) -> bool:
        return bool(self.written or self.removed or self.anew)


@dataclass(frozen=True)
class Parts:
    """A table as it should stand at the engine.

    Attributes:
        selected: the columns as they are sent, in DuckDB's SQL.
        columns: their names and the engine's types.
        part: in DuckDB's SQL, which part a row of the table `t` belongs to; None if the table is one.
        fingerprints: rows and a hash of their content, by part.
    """

    selected: str
    columns: Sequence[tuple[str, str]]
    part: str | None
    fingerprints: Mapping[str, tuple[int, str]]

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return sum(rows for rows, _ in self.fingerprints.values())

    def record(self) -> str:
        """What is remembered of what was sent. DuckDB's hash is one version's own."""
        return json.dumps(
            {
                "duckdb": duckdb.__version__,
                "selected": self.selected,
                "columns": dict(self.columns),
                "part": self.part,
                "parts": {name: list(found) for name, found in self.fingerprints.items()},
            },
            sort_keys=True,
        )

    def changes(self, record: str | None) -> Changes:
        """What makes of a table that was sent as `record` says one that is like this."""
        before = json.loads(record) if record else {}
        if not before or {**before, "parts": {}} != {**json.loads(self.record()), "parts": {}}:
            return Changes(tuple(sorted(self.fingerprints)), anew=True)
        parts = {name: tuple(found) for name, found in before["parts"].items()}
        written = [name for name, found in sorted(self.fingerprints.items()) if parts.get(name) != found]
        replaced = [name for name in written if name in parts]
        return Changes(tuple(written), tuple(replaced), tuple(sorted(set(parts) - set(self.fingerprints))))


def find(
    con: duckdb.DuckDBPyConnection, table: str, selected: str, columns: Sequence[tuple[str, str]], part: str | None
) -> Parts:
    """The parts of a table of the home (its quoted name), as its columns are sent."""
    told = f"count(*) as rows, cast(coalesce(sum(hash(hash(t))), 0) as varchar) as told from {table} as t"
    query = f"select {sql.text(ONE)}, {told}"
    if part:
        query = f"select cast(part as varchar), rows, told from (select {part} as part, {told} group by 1)"
    found = con.execute(query).fetchall()
    return Parts(selected, columns, part, {str(name): (int(rows), str(told)) for name, rows, told in found})
