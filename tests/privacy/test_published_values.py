"""No address, phone number or name of the raw data is a value of what is published, segments, or the report.

Values, not column names: a column called `label` that holds an address is found as well.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from ritorno.contract import raw_tables
from ritorno.home import Home
from tests.report.shop import real_home, shared_folder

TEXTS = ("VARCHAR", "JSON", "STRUCT", "LIST", "MAP", "BLOB", "UNION")
ADDRESS = re.compile(r"[^\s\"'<>()\[\]{},;:=|\\/]+@[^\s\"'<>()\[\]{},;:=|\\/]+\.[^\s\"'<>()\[\]{},;:=|\\/.]+")
NUMBER = re.compile(r"\+?\d[\d ()./\u00a0-]{5,}\d")
WORD = re.compile(r"\w+")


@dataclass
class Personal:
    """Everything personal that the sources delivered, in the spellings in which it could come out again."""

    addresses: set[str]
    phones: set[str]
    names: set[str]
    """First and last names: a cell that is one, or holds a first beside a last one, names a person."""
    full_names: set[tuple[str, str]]
    texts: set[str]

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection) -> Personal:
        def values(*columns: str) -> set[str]:
            found: set[str] = set()
            for table in raw_tables():
                for column in table.columns:
                    if column.pii and column.name in columns and table.system == "files":
                        rows = con.execute(
                            f'select distinct "{column.name}" from home.raw."{table.name}" '
                            f'where "{column.name}" is not null'
                        ).fetchall()
                        found |= {str(value).strip().casefold() for (value,) in rows}
            return found

        pairs = con.execute(
            "select distinct lower(trim(first_name)), lower(trim(last_name)) from home.raw.customers "
            "where first_name is not null and last_name is not null"
        ).fetchall()
        return cls(
            addresses={one for one in values("email", "referrer_email", "referee_email") if "@" in one},
            phones={national(one) for one in values("phone")} - {""},
            names=values("first_name", "last_name"),
            full_names={(first, last) for first, last in pairs},
            texts={text for text in values("comment", "text") if len(text) > 20},
        )

    def found_in(self, text: str) -> str | None:
        """What kind of personal value stands in a text."""
        folded = text.casefold()
        if folded.strip() in self.names:
            return "a name"
        if folded.strip() in self.texts:
            return "what somebody wrote"
        return self.inside(folded)

    def inside(self, folded: str) -> str | None:
        """The same of a long text, in which a single first name is nobody."""
        if any(match.strip(".") in self.addresses for match in ADDRESS.findall(folded)):
            return "an address"
        for number in NUMBER.findall(folded):
            digits = re.sub(r"\D", "", number)
            # with or without the country's code
            if any(national(digits[cut:]) in self.phones for cut in range(4)):
                return "a phone number"
        words = WORD.findall(folded)
        if any(pair in self.full_names for pair in itertools.pairwise(words)):
            return "a full name"
        return None


def national(number: str) -> str:
    """The digits of a number without what leads to them; too short to be anybody's: nothing."""
    digits = re.sub(r"\D", "", number).lstrip("0")
    return digits if len(digits) >= 7 else ""


def texts(con: duckdb.DuckDBPyConnection, relation: str) -> Iterator[tuple[str, str]]:
    """Every column that can hold text, and its distinct values."""
    for column, kind, *_ in con.execute(f"describe select * from {relation}").fetchall():
        if kind.startswith(TEXTS) or kind.endswith("[]"):
            rows = con.execute(f'select distinct cast("{column}" as varchar) from {relation}').fetchall()
            for (value,) in rows:
                if value is not None:
                    yield column, value


def tables(con: duckdb.DuckDBPyConnection, database: str, schemas: Iterable[str]) -> list[str]:
    """Tables and views of a database's schemas."""
    marks = ", ".join(f"'{schema}'" for schema in schemas)
    return [
        f'"{catalog}"."{schema}"."{name}"'
        for catalog, schema, name in con.execute(
            "select table_catalog, table_schema, table_name from information_schema.tables "
            f"where table_catalog = '{database}' and table_schema in ({marks}) order by all"
        ).fetchall()
    ]


def holding(con: duckdb.DuckDBPyConnection, personal: Personal, relations: Iterable[str]) -> dict[str, str]:
    """relation.column → what it holds that it must not."""
    found: dict[str, str] = {}
    for relation in relations:
        for column, value in texts(con, relation):
            what = personal.found_in(value)
            if what:
                found.setdefault(f"{relation}.{column}", what)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return real_home(shared_folder(tmp_path_factory))


@pytest.fixture(scope="module")
def con(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as made:
        made.execute(f"attach '{home.warehouse}' as home (read_only)")
        made.execute(f"attach '{home.published / 'marts.duckdb'}' as published (read_only)")
        yield made


@pytest.fixture(scope="module")
def personal(con: duckdb.DuckDBPyConnection) -> Personal:
    return Personal.of(con)


def test_the_search_finds_what_the_raw_tables_hold(con: duckdb.DuckDBPyConnection, personal: Personal) -> None:
    """Otherwise the tests below could find nothing because they look for nothing."""
    assert min(map(len, (personal.addresses, personal.phones, personal.full_names, personal.names))) > 20
    found = holding(con, personal, ["home.raw.customers", "home.raw.orders", "home.raw.nps_responses"])
    assert found == {
        "home.raw.customers.email": "an address",
        "home.raw.customers.phone": "a phone number",
        "home.raw.customers.first_name": "a name",
        "home.raw.customers.last_name": "a name",
        "home.raw.orders.email": "an address",
        "home.raw.orders.phone": "a phone number",
        "home.raw.nps_responses.email": "an address",
    }
    address, phone, (first, last) = min(personal.addresses), min(personal.phones), min(personal.full_names)
    for text in (f"wrote to {address.upper()}.", f'{{"phone":"+44 {phone}"}}', f"Dear {first} {last}, you"):
        assert personal.found_in(text), "a value inside a sentence"


def test_no_mart_and_no_segment_of_the_warehouse_holds_a_persons_value(
    con: duckdb.DuckDBPyConnection, personal: Personal
) -> None:
    relations = tables(con, "home", ("marts", "segments", "segment_state", "audience_history", "experiments"))
    assert len(relations) > 50
    assert holding(con, personal, relations) == {}


def test_no_table_of_the_published_copy_holds_a_persons_value(
    con: duckdb.DuckDBPyConnection, personal: Personal
) -> None:
    schemas = [
        name for (name,) in con.execute(
            "select distinct table_schema from information_schema.tables where table_catalog = 'published'"
        ).fetchall()
    ]  # fmt: skip
    relations = tables(con, "published", schemas)
    assert len(relations) > 30
    assert holding(con, personal, relations) == {}


def test_no_published_parquet_file_holds_a_persons_value(
    home: Home, con: duckdb.DuckDBPyConnection, personal: Personal
) -> None:
    files = sorted((home.published / "parquet").rglob("*.parquet"))
    assert len(files) > 30
    assert holding(con, personal, [f"read_parquet('{file}')" for file in files]) == {}


def test_no_file_of_the_report_and_no_manifest_holds_a_persons_value(home: Home, personal: Personal) -> None:
    files = [path for path in home.published.rglob("*") if path.suffix in {".html", ".js", ".json", ".css", ".csv"}]
    assert len([path for path in files if path.suffix == ".html"]) > 5
    found = {
        str(path): what
        for path in files
        for line in Path(path).read_text(encoding="utf-8").splitlines()
        if (what := personal.inside(line.casefold()))
    }
    assert found == {}
