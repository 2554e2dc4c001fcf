"""What a model makes of tables without rows, worked out once and remembered.

An example has orders and no loyalty events, and still every model of loyalty events is an ancestor of what it asks for:
planning SQL over empty tables is two thirds of an example's time. The same SQL over tables of the same columns without
rows makes the same table, so where that was one without rows, the next example gets its columns without the planning.
What was not asked in this process is always worked out, and so is whatever has a row to read, or makes one of nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache

import duckdb

from ritorno import sql as text

_RELATION = re.compile(r'"warehouse"\."(\w+)"\."(\w+)"')
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_MADE: dict[str, str | None] = {}
"""By signature, the statement that makes the same table or view without rows; null where the model makes rows."""


class Nothing:
    """One run of models on one connection, parents before their children.

    A relation's signature says that it is empty, and all that a model's result could still depend on: its columns, or
    the SQL that made it of empty ones. A relation with rows has none.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._signatures: dict[str, str | None] = {}

    def build(self, relation: str, kind: str, sql: str, make: Callable[[], object]) -> None:
        """Have `make` build the relation, unless what the SQL reads has no rows and what it makes of that is known.

        Args:
            relation: schema.name.
            kind: table or view.
            sql: what it is made by; what does not matter to tables without rows may be left open, as the day.
            make: builds it.
        """
        signature = self._signature_of(kind, relation, sql)
        known = _MADE.get(signature) if signature else None
        if known:
            self._con.execute(known)
            self._signatures[relation] = signature
            return
        make()
        if kind == "view":  # looking into it would be planning it
            self._signatures[relation] = None
        else:
            self.forget(relation)
        if signature and signature not in _MADE:
            _MADE[signature] = None if self._has_rows(relation) else self._statement(relation, kind, sql)
        if signature and _MADE[signature]:
            self._signatures[relation] = signature

    def forget(self, relation: str) -> None:
        """Somebody else has written to it."""
        self._signatures.pop(relation, None)

    def _signature_of(self, kind: str, relation: str, sql: str) -> str | None:
        parts = [kind, relation, sql]
        reads = _reads(sql)
        for read in reads:
            signature = self._of(read)
            if signature is None:
                return None
            parts.append(signature)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest() if reads else None

    def _of(self, relation: str) -> str | None:
        """The signature of what stands there: a table that is empty has its columns for one."""
        if relation not in self._signatures:
            try:
                is_empty = not self._has_rows(relation)
            except duckdb.CatalogException:  # it isn't there: whoever reads it says so
                is_empty = False
            self._signatures[relation] = repr(self._columns(relation)) if is_empty else None
        return self._signatures[relation]

    def _has_rows(self, relation: str) -> bool:
        return self._con.execute(f"select 1 from {relation} limit 1").fetchone() is not None

    def _columns(self, relation: str) -> list[tuple[str, str]]:
        return [(text.name(name), kind) for name, kind, *_ in self._con.execute(f"describe {relation}").fetchall()]

    def _statement(self, relation: str, kind: str, sql: str) -> str:
        columns = self._columns(relation)
        if kind == "table":
            return f"create or replace table {relation} ({', '.join(map(' '.join, columns))})"
        nulls = ", ".join(f"cast(null as {type_}) as {name}" for name, type_ in columns)
        rows = " union all ".join(f"select '{read}' as of_what from {read}" for read in _reads(sql))
        stale = f"error('{relation} was made when there was nothing in ' || of_what || ': run it again')"
        return f"create or replace view {relation} as select {nulls} from ({rows}) as rows where {stale}"


@lru_cache(maxsize=4096)
def _reads(sql: str) -> tuple[str, ...]:
    found = _RELATION.findall(_COMMENT.sub("", sql))
    return tuple(sorted({f"{schema}.{name}" for schema, name in found}))
