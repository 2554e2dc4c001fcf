"""Taking a person out of tables that were derived from raw rows: keys and ids become the new ones, the rest null.

What a later refresh makes of the rewritten raw tables is the same; sweeping spares a build, and an hour in which the
warehouse, the published run and the state would still know the person.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import duckdb

from ritorno import sql
from ritorno.audiences.planner import insert_texts
from ritorno.contract import raw_tables
from ritorno.privacy.person import Work
from ritorno.privacy.tokens import CONTACT, FREE_TEXT, GONE

ID_NAMES = frozenset(
    {
        "customer_id", "contact_id", "referrer_id", "referee_id", "source_id", "new_source_id", "account_id", "alias",
        "left_id", "right_id", "row_key",
    }
)  # fmt: skip
"""Columns of derived tables in which a source's number of a person may stand."""
TEXT_SCHEMAS = frozenset({"quarantine", "landing", "runs", "quality", "publish"})
"""Schemas with sentences and broken values in which an address may stand among other words."""
KEPT = frozenset({("pii", "member"), ("pii", "erasing")})
"""What the erasure itself needs until the destinations have answered."""
_ONE_ROW_EACH = {
    "nodes": ("node_key",),
    "guests": ("system", "email", "phone"),
    "node_addresses": ("node_key", "kind", "value"),
    "customer_aliases": ("alias", "alias_kind", "system"),
}
"""Guests of one person become one guest; of the rows that say the same one is kept."""


def personal_columns() -> frozenset[str]:
    """Names of columns that hold personal data, whichever table repeats them."""
    tagged = {column.name for table in raw_tables() for column in table.columns if column.pii}
    return frozenset(tagged | {name for names in FREE_TEXT.values() for name in names})


def sweep(
    con: duckdb.DuckDBPyConnection,
    database: str,
    work: Work,
    skip_schemas: Collection[str] = (),
    skip_tables: Collection[str] = (),
) -> dict[str, int]:
    """Take the person out of every table of an attached database; returns changed values by table.

    The caller holds a transaction. Doing it again changes nothing.
    """
    _load(con, work)
    columns: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, kind in con.execute(
        "select c.schema_name, c.table_name, c.column_name, c.data_type from duckdb_columns() as c "
        "inner join duckdb_tables() as t on c.table_oid = t.table_oid and c.database_name = t.database_name "
        "where c.database_name = ? and not c.internal order by all",
        [database],
    ).fetchall():
        if schema not in skip_schemas and table not in skip_tables and (schema, table) not in KEPT:
            columns.setdefault((schema, table), {})[column] = kind
    counts: dict[str, int] = {}
    for (schema, table), kinds in columns.items():
        changed = _sweep_table(con, database, schema, table, kinds, work)
        if changed:
            counts[f"{schema}.{table}"] = changed
    return counts


def _load(con: duckdb.DuckDBPyConnection, work: Work) -> None:
    con.execute("create or replace temp table sweeping_texts (old varchar, new varchar)")
    insert_texts(con, "sweeping_texts", ("old", "new"), [[old, new] for old, new in work.texts().items()])
    con.execute("create or replace temp table sweeping_ids (system varchar, space varchar, old varchar, new varchar)")
    ids = [[*kind.split("/", 1), old, new] for kind, old, new in work.ids]
    insert_texts(con, "sweeping_ids", ("system", "space", "old", "new"), ids)
    con.execute("create or replace temp table sweeping_keys as select unnest(?::varchar[]) as key", [
        [*work.keys, *work.keys.values()]
    ])  # fmt: skip


def _sweep_table(
    con: duckdb.DuckDBPyConnection, database: str, schema: str, table: str, kinds: dict[str, str], work: Work
) -> int:
    relation = f"{sql.name(database)}.{sql.name(schema)}.{sql.name(table)}"
    texts = [column for column, kind in kinds.items() if kind == "VARCHAR"]
    changed = _null_personal(con, relation, kinds)
    holding = _holding(con, relation, texts, work, schema in TEXT_SCHEMAS)
    for column in texts:
        if column in ID_NAMES:
            changed += _map_ids(con, relation, column, kinds)
    for column in holding:
        name = sql.name(column)
        changed += _changed(
            con,
            f"update {relation} as r set {name} = m.new from sweeping_texts as m where r.{name} = m.old",
        )
    if schema in TEXT_SCHEMAS:
        for column in holding:
            changed += _cut_out(con, relation, sql.name(column), work.needles())
    unique = _ONE_ROW_EACH.get(table)
    if changed and unique and set(unique) <= set(kinds):
        names = sql.names(unique)
        con.execute(f"delete from {relation} where rowid not in (select min(rowid) from {relation} group by {names})")
    return changed


def _holding(
    con: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[str], work: Work, within: bool
) -> list[str]:
    """The columns with a value of the person: one look at a table instead of an update for every column and value."""
    if not columns:
        return []
    values = ", ".join(sql.text(value) for value in work.texts())
    looks = [f"coalesce(bool_or({sql.name(column)} in ({values})), false)" for column in columns]
    if within:
        inside = " or ".join(f"contains({{0}}, {sql.text(needle)})" for needle in work.needles())
        looks = [
            f"{look} or coalesce(bool_or({inside.replace('{0}', sql.name(column))}), false)"
            for look, column in zip(looks, columns, strict=True)
        ]
    row = con.execute(f"select {', '.join(looks)} from {relation}").fetchone()
    assert row is not None
    return [column for column, holds in zip(columns, row, strict=True) if holds]


def _null_personal(con: duckdb.DuckDBPyConnection, relation: str, kinds: dict[str, str]) -> int:
    """In the person's rows of tables that repeat raw columns: names, phone, birth date, own words."""
    personal = [name for name in kinds if name in personal_columns() and not name.endswith("email")]
    if not personal:
        return 0
    owner: list[str] = []
    for name in ("customer_key", "node_key"):
        if name in kinds:
            owner.append(f"r.{name} in (select key from sweeping_keys)")
    for name in ("email", "raw_value", "value"):
        if kinds.get(name) == "VARCHAR":
            owner.append(f"r.{name} in (select old from sweeping_texts union select new from sweeping_texts)")
    for name in ("customer_id", "contact_id"):
        if kinds.get(name) == "VARCHAR":
            space = CONTACT if name == "contact_id" else "account"
            system = "m.system = r.system and " if "system" in kinds else ""
            owner.append(
                f"exists (select 1 from sweeping_ids as m where {system}m.space = '{space}' "
                f"and r.{name} in (m.old, m.new))"
            )
    if not owner:
        return 0
    nulls = ", ".join(f"{sql.name(name)} = null" for name in personal)
    some = " or ".join(f"r.{sql.name(name)} is not null" for name in personal)
    return _changed(con, f"update {relation} as r set {nulls} where ({some}) and ({' or '.join(owner)})")


def _map_ids(con: duckdb.DuckDBPyConnection, relation: str, column: str, kinds: dict[str, str]) -> int:
    name = sql.name(column)
    where = [f"r.{name} = m.old"]
    if "system" in kinds:
        where.append("m.system = r.system")
    if column == "contact_id":
        where.append(f"m.space = '{CONTACT}'")
    elif column in ("customer_id", "referrer_id", "referee_id", "account_id"):
        where.append("m.space = 'account'")
    if column in ("source_id", "new_source_id", "alias") and "entity" in kinds:
        where.append("(m.space = 'contact') = (r.entity = 'contact')")
    if column in ("source_id", "alias") and "customer_key" in kinds:
        where.append("r.customer_key in (select key from sweeping_keys)")
    if column == "row_key":
        where.append("r.entity = case m.space when 'contact' then 'crm_contacts' else 'customers' end")
        if "entity" not in kinds:
            return 0
    changed = _changed(
        con, f"update {relation} as r set {name} = m.new from sweeping_ids as m where {' and '.join(where)}"
    )
    if column == "source_id" and {"entity", "customer_key"} <= set(kinds):
        changed += _changed(  # a guest's id is made of addresses
            con,
            f"update {relation} as r set {name} = (select any_value(new) || '|' from sweeping_texts "
            "where new like '%@%') where r.entity = 'guest' and not r." + name + " like 'erased-%' "
            "and r.customer_key in (select key from sweeping_keys)",
        )
    return changed


def _cut_out(con: duckdb.DuckDBPyConnection, relation: str, name: str, needles: Sequence[str]) -> int:
    changed = 0
    for needle in needles:
        changed += _changed(
            con,
            f"update {relation} set {name} = replace({name}, {sql.text(needle)}, {sql.text(GONE)}) "
            f"where contains({name}, {sql.text(needle)})",
        )
    return changed


def _changed(con: duckdb.DuckDBPyConnection, statement: str) -> int:
    row = con.execute(statement).fetchone()
    return int(row[0]) if row else 0


def left(con: duckdb.DuckDBPyConnection, database: str, work: Work) -> dict[str, int]:
    """Where the person still stands, as values by table and column: must be empty."""
    found: dict[str, int] = {}
    needles = "|".join(_pattern(needle) for needle in work.needles())
    if not needles:
        return found
    for schema, table, columns in con.execute(
        "select c.schema_name, c.table_name, list(c.column_name order by c.column_index) from duckdb_columns() as c "
        "inner join duckdb_tables() as t on c.table_oid = t.table_oid and c.database_name = t.database_name "
        "where c.database_name = ? and c.data_type in ('VARCHAR', 'VARCHAR[]') group by all order by all",
        [database],
    ).fetchall():
        if (schema, table) in KEPT:
            continue
        counts = ", ".join(
            f"count(*) filter (where regexp_matches(lower(cast({sql.name(column)} as varchar)), $needles))"
            for column in columns
        )
        relation = f"{sql.name(database)}.{sql.name(schema)}.{sql.name(table)}"
        row = con.execute(f"select {counts} from {relation}", {"needles": needles}).fetchone() or ()
        found |= {f"{schema}.{table}.{column}": int(n) for column, n in zip(columns, row, strict=True) if n}
    return found


def _pattern(needle: str) -> str:
    """A literal as a pattern; a number isn't found in the middle of a longer one."""
    escaped = "".join(f"\\{character}" if not character.isalnum() and character.isascii() else character
                      for character in needle.lower())  # fmt: skip
    return rf"(^|[^0-9]){escaped}([^0-9]|$)" if needle[:1].isdigit() or needle[-1:].isdigit() else escaped
