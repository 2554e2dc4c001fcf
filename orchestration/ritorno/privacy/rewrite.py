"""Rewriting raw tables: one rule for the day of the erasure and for every file that lands later.

A row is the person's if its id is, or if it has no id and its address is. In such a row ids become their tokens,
addresses the token address, and what else is personal null. In anybody else's row only the person's address goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from ritorno import sql
from ritorno.audiences.planner import insert_texts
from ritorno.contract import BOOKKEEPING, RawTable
from ritorno.privacy.tokens import (
    DOMAIN,
    FREE_TEXT,
    PREFIX,
    Erased,
    Known,
    address_columns,
    id_columns,
    source_kind,
    token_address,
)

EVERYWHERE = "true"


@dataclass(frozen=True)
class Role:
    """One way in which a row of a table names a person: an id, addresses."""

    ids: tuple[str, ...]
    emails: tuple[str, ...]
    phones: tuple[str, ...]
    is_owner: bool


def roles(table: RawTable, there: Sequence[str]) -> list[Role]:
    """Whom a row may name. In all tables but invitations and overrides it is one person, the row's owner."""
    present = set(there)
    ids = [name for name in id_columns(table) if name in present]
    emails = [name for name in address_columns(table, "email") if name in present]
    phones = [name for name in address_columns(table, "phone") if name in present]
    if {"left_id", "right_id"} & set(ids):
        return [Role((name,), (), (), False) for name in ids]
    if "referee_email" in emails:
        return [
            Role(tuple(ids), tuple(name for name in emails if name == "referrer_email"), (), False),
            Role((), ("referee_email",), (), False),
        ]
    return [Role(tuple(ids), tuple(emails), tuple(phones), True)] if ids or emails or phones else []


def columns_of(con: duckdb.DuckDBPyConnection, table: RawTable) -> dict[str, str]:
    """The table's columns with their types; empty if it isn't there."""
    return dict(
        con.execute(
            "select column_name, data_type from duckdb_columns() where database_name = current_database() "
            "and schema_name = 'raw' and table_name = ? order by column_index",
            [table.identifier],
        ).fetchall()
    )


def recognise(con: duckdb.DuckDBPyConnection, table: RawTable, erased: Erased, where: str = EVERYWHERE) -> Known:
    """Which values of a table's rows were an erased person's."""
    there = columns_of(con, table)

    def distinct(column: str) -> list[str]:
        name = sql.name(column)
        found = con.execute(
            f"select distinct cast({name} as varchar) from {table.relation} where {name} is not null and {where}"
        ).fetchall()
        return [value for (value,) in found if not value.startswith(PREFIX)]

    ids: dict[tuple[str, str], str] = {}
    for column, space in id_columns(table).items():
        kind = source_kind(table.system, space)
        for value in distinct(column) if column in there else ():
            token = erased.id(kind, value)
            if token:
                ids[kind, value] = token
    found: dict[str, dict[str, str]] = {"email": {}, "phone": {}}
    for kind, values in found.items():
        for column in address_columns(table, kind):
            for value in distinct(column) if column in there else ():
                token = erased.address(kind, value)
                if token:
                    values[value] = token_address(token)
    if found["email"] or found["phone"]:
        ids |= _newcomers(con, table, erased, where, there, found["email"], found["phone"])
    return Known(ids, found["email"], found["phone"])


def _newcomers(
    con: duckdb.DuckDBPyConnection,
    table: RawTable,
    erased: Erased,
    where: str,
    there: Mapping[str, str],
    emails: Mapping[str, str],
    phones: Mapping[str, str],
) -> dict[tuple[str, str], str]:
    """Ids that nobody knew at the erasure, in rows with an erased address: they are that person's as well."""
    found: dict[tuple[str, str], str] = {}
    for role in roles(table, list(there)):
        for columns, values in ((role.emails, emails), (role.phones, phones)):
            for column in columns:
                for id_column in role.ids if values else ():
                    kind = source_kind(table.system, id_columns(table)[id_column])
                    for value, raw in con.execute(
                        f"select distinct cast({sql.name(id_column)} as varchar), {sql.name(column)} "
                        f"from {table.relation} where {sql.name(id_column)} is not null and {where} "
                        f"and {sql.name(column)} in (select unnest(?::varchar[]))",
                        [list(values)],
                    ).fetchall():
                        if not value.startswith(PREFIX):
                            token = values[raw].removesuffix(f"@{DOMAIN}")
                            found[kind, value] = erased.id(kind, value) or erased.id_of_newcomer(token, value)
    return found


def rewrite(con: duckdb.DuckDBPyConnection, table: RawTable, known: Known, where: str = EVERYWHERE) -> dict[str, int]:
    """Rewrite a raw table's rows; returns how many by the file that they came from. The caller holds a transaction."""
    there = columns_of(con, table)
    if known.is_nobody or not there:
        return {}
    _load(con, known)
    hit: set[int] = set()
    for role in roles(table, list(there)):
        hit |= _rewrite_role(con, table, role, there, where)
    if not hit:
        return {}
    return dict(
        con.execute(
            f"select coalesce(_ritorno_file, ''), count(*) from {table.relation} "
            "where rowid in (select unnest(?::bigint[])) group by 1 order by 1",
            [sorted(hit)],
        ).fetchall()
    )


def _load(con: duckdb.DuckDBPyConnection, known: Known) -> None:
    con.execute("create or replace temp table erasing_ids (kind varchar, old varchar, new varchar)")
    con.execute("create or replace temp table erasing_addresses (kind varchar, old varchar, new varchar)")
    columns = ("kind", "old", "new")
    insert_texts(con, "erasing_ids", columns, [[kind, old, new] for (kind, old), new in known.ids.items()])
    addresses = [["email", *pair] for pair in known.emails.items()] + [
        ["phone", *pair] for pair in known.phones.items()
    ]
    insert_texts(con, "erasing_addresses", columns, addresses)


def _rewrite_role(
    con: duckdb.DuckDBPyConnection, table: RawTable, role: Role, there: Mapping[str, str], where: str
) -> set[int]:
    spaces = id_columns(table)
    _widen(con, table, [*role.ids, *role.emails, *role.phones], there)
    joins: list[str] = []
    by_id: list[str] = []
    for at, column in enumerate(role.ids):
        kind = sql.text(source_kind(table.system, spaces[column]))
        value = f"cast(r.{sql.name(column)} as varchar)"
        joins.append(f"left join erasing_ids as i{at} on i{at}.kind = {kind} and i{at}.old = {value}")
        by_id.append(f"i{at}.new")
    found: list[str] = []
    for at, (kind, column) in enumerate([*(("email", c) for c in role.emails), *(("phone", c) for c in role.phones)]):
        joins.append(
            f"left join erasing_addresses as a{at} on a{at}.kind = '{kind}' and a{at}.old = r.{sql.name(column)}"
        )
        found.append(f"a{at}.new")
    no_id = " and ".join(f"nullif(trim(cast(r.{sql.name(column)} as varchar)), '') is null" for column in role.ids)
    of_id = ", ".join(by_id)
    of_address = ", ".join(found)
    mail_of_id = f"regexp_extract(coalesce({of_id}), '^{PREFIX}[0-9a-f]+') || '@{DOMAIN}'" if by_id else "null"
    mail = f"coalesce({mail_of_id}, {of_address or 'null'})"
    owner = f"coalesce({of_id}) is not null" if by_id else "false"
    if found:
        owner += f" or ({no_id or 'true'} and coalesce({of_address}) is not null)"
    anything = ", ".join([*by_id, *found])
    ids = "".join(f", i{at}.new as id_{at}" for at in range(len(role.ids)))
    mails = "".join(f", a{at}.new as address_{at}" for at in range(len(found)))
    con.execute(
        f"create or replace temp table erasing_rows as select r.rowid as row_no, {mail} as mail, ({owner}) as is_owner"
        f"{ids}{mails} from (select rowid, * from {table.relation} where {where}) as r {' '.join(joins)} "
        f"where coalesce({anything}) is not null"
    )
    hit = {int(row) for (row,) in con.execute("select row_no from erasing_rows").fetchall()}
    if hit:
        con.execute(
            f"update {table.relation} as r set {', '.join(_assignments(table, role, there))} "
            "from erasing_rows as e where r.rowid = e.row_no"
        )
    return hit


def _assignments(table: RawTable, role: Role, there: Mapping[str, str]) -> list[str]:
    """What becomes of each column."""
    required = set(table.required)
    sets = [f"{sql.name(column)} = coalesce(e.id_{at}, r.{sql.name(column)})" for at, column in enumerate(role.ids)]
    addresses = [*role.emails, *role.phones]
    had = " or ".join(f"r.{sql.name(column)} is not null" for column in addresses)
    for at, column in enumerate(addresses):
        name = sql.name(column)
        if column in role.phones:
            stays, of_owner = f"case when e.address_{at} is null then r.{name} end", "null"
        elif column in required:
            stays, of_owner = f"coalesce(e.address_{at}, r.{name})", "e.mail"
        else:
            stays = f"case when e.address_{at} is null then r.{name} end"
            # Also where only a phone number stood, or the row would be nobody's.
            of_owner = f"case when {had} then e.mail end"
        sets.append(f"{name} = case when e.is_owner then {of_owner} else {stays} end")
    if role.is_owner:
        declared = {column.name: column for column in table.columns}
        own = {*role.ids, *addresses, *BOOKKEEPING}
        for column in there:
            told = declared.get(column)
            is_personal = told is None or told.pii or column in FREE_TEXT.get(table.name, ())
            if column not in own and is_personal:
                sets.append(f"{sql.name(column)} = case when e.is_owner then null else r.{sql.name(column)} end")
    return sets


def _widen(con: duckdb.DuckDBPyConnection, table: RawTable, columns: Sequence[str], there: Mapping[str, str]) -> None:
    """A token is text: a column of numbers becomes one of texts."""
    for column in columns:
        if there[column] != "VARCHAR":
            con.execute(f"alter table {table.relation} alter column {sql.name(column)} set data type varchar")
