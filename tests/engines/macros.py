"""Every engine macro on awkward values, to ask of each engine what DuckDB answers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb

from tests.engines.rendering import render
from tests.engines.shop import ODD

POLICY = {"business_timezone": "Europe/Berlin", "raw_timezone": "UTC"}
INSTANTS = [
    *["2024-03-30 23:30:00", "2024-03-31 00:59:59.999999", "2024-03-31 01:00:00", "2024-10-26 22:00:00"],
    *["2024-10-27 00:30:00", "2024-10-27 01:30:00", "2024-12-31 22:59:59", "2024-12-31 23:00:00.5"],
    *["1900-01-01 00:00:00", "2199-12-31 23:59:59.123456", "2024-02-29 12:00:00"],
]
OF_INSTANTS = [
    "{{ business_date('t') }}",
    "{{ business_hour('t') }}",
    "{{ local_date('t', \"'America/St_Johns'\") }}",
    "{{ add_hours('t', '-25') }}",
    "{{ add_seconds('t', 'cast(-86401 as bigint)') }}",
    "{{ seconds_between('t', \"cast('2024-03-31 01:00:00.4' as timestamp)\") }}",
    "{{ days_between('cast(t as date)', \"cast('2024-02-29' as date)\") }}",
    "{{ add_days('cast(t as date)', '-366') }}",
    "{{ add_days('cast(t as date)', '1') }}",
    "{{ month_start('cast(t as date)') }}",
    "{{ month_end('cast(t as date)') }}",
    *[f"{{{{ add_months('cast(t as date)', '{months}') }}}}" for months in (-13, -1, 1, 11)],
    "{{ months_between('cast(t as date)', \"cast('2024-03-01' as date)\") }}",
    "{{ iso_weekday('cast(t as date)') }}",
    *[f"{{{{ business_instant('cast(t as date)', '{minutes}') }}}}" for minutes in (0, 119, 120, 150, 179, 180, 1439)],
    "{{ plausible_instant('t') }}",
]
TEXTS = [
    *[
        "2024-01-05xyz",
        "2024-01-05 1",
        "2024-01-05 10:00:00 UTC",
        "2024-01-05 10:00:00UTC",
        "2024-01-05Z",
        "2024-1-5 1:00",
    ],
    *[
        "2024-01-05 10:00:00.1234567",
        "2024-01-05 10:00:60",
        "2024-01-05t10:00:00z",
        "2024-01-05 10:00:00+1",
        "2024-01-05T",
    ],
    *[*ODD, "", " ", "2200-01-01", "1899-12-31", "2199-12-31T23:59:59", "2024-03-31T02:30:00", "2024-10-27 02:30:00"],
    *["2024-01-05T10:00:00+0530", "2024-01-05 10:00:00 +01", "2024-01-05T10", "2024-13-01", "2024-01-05 25:00:00"],
    *[
        "2024-01-05T10:00+02:00",
        "2024-01-05T10:00Z",
        "2024-01-05 10:00-0530",
        "2024-01-05T10:00:00+02:00",
        "2024-1-5 1:00",
    ],
    *[
        "2024-01-05 10:00:00+0530",
        "2023-02-29 10:00:00",
        "2024-04-31",
        "0000-01-01",
        "12024-01-01",
    ],
    *[
        "2024-01-05 10:00:00.",
        "2024-01-05T10:00:00+99",
        "-2024-01-05 10:00:00",
        "20-4-01-05 10:00:00",
        "2024-01-05 1-:00:00",
    ],
    *[
        "\t12.5\n",
        "12.5\t",
        "99999999999999.99995",
        "99999999999999.9999",
        "-0",
        "007",
        "1e5",
        "1E+2",
        "1e-9",
        ".",
        "+",
        "-",
        "1e",
    ],
    *[
        "99999999999999",
        "999999999999999",
        "3.00004",
        "3.00005",
        "१२",
        "12\xa0",
        "\u2003A1\u3000 ",
        "A\u200b",
        "0x1F",
        "1.2.3",
        "--1",
        "+-1",
    ],
    *["10.005", "-0.00005", "12345678901234.12345", "-3", "3.0", "1E-2", "é", "Europe/Berlin", "Mars/Olympus", "UTC"],
    *['"a"', "[1, 2]", "12", "tru", "f", "N", "False", "a'b\\c"],
]
OF_TEXTS = [
    "{{ read_text('t') }}",
    "{{ read_string('t') }}",
    "{{ read_instant('t') }}",
    "{{ read_instant('t', 'Europe/Berlin') }}",
    "{{ read_date('t') }}",
    "{{ read_decimal('t') }}",
    "{{ read_integer('t') }}",
    "{{ read_rate('t') }}",
    "{{ read_boolean('t') }}",
    "{{ read_timezone('t') }}",
    "{{ read_json('t') }}",
    '{{ hash_key(["t", "12", "cast(1.50 as decimal(18, 2))"]) }}',
]
NUMBERS = [("-10.05", 3), ("0.30", 3), ("0.10", 1), ("99999999999999.99", 7), ("-0.01", 2), ("0", 4), ("2.675", 100)]
OF_NUMBERS = [
    "{{ average_money('a', 'n') }}",
    "{{ ratio('a', 'n') }}",
    "{{ ratio('a', 'n - n') }}",
    "{{ integer_divide('n * 7', '3') }}",
    "{{ sign_of('a') }}",
    "{{ whole_quotient('cast(n as ' ~ type_wide_integer() ~ ') * 99999999999999 * 8', 'n') }}",
]
DOCUMENTS = [
    '{"a": "x", "b": 1, "c": 1.5, "d": true, "e": null, "f": [1, "two", null], "g": {"h": "deep", "i": 0}}',
    '{"a": 12345678901, "b": -1, "c": 1e2, "f": [], "g": {}}',
    "{}",
    '{"a": "quote \\" and é", "g": {"h": false}}',
]
OF_DOCUMENTS = [
    *[f"{{{{ json_kind('t', '$.{name}') }}}}" for name in "abcdefgz"],
    *[f"{{{{ json_text('t', '$.{name}') }}}}" for name in ("a", "b", "d", "e", "z", "g.h", "g.i")],
    "{{ json_kind('t', '$.g.h') }}",
    "{{ json_kind('t', '$') }}",
]
LASTS = ["3", "0", "-1", "cast(null as integer)"]
SPANS = [
    ("2024-02-27", "2024-03-01", "day"),
    ("2024-01-01", "2024-04-15", "month"),
    ("2024-01-02", "2024-01-01", "day"),
    ("2024-03-01", "2024-03-01", "month"),
]
DATES = "select series_date from {{ date_series(\"cast('%s' as date)\", \"cast('%s' as date)\", '%s') }} as s"
LIST = '[1, "two", true, 2.5]'
SERIES = [
    *["select number from {{ number_series('LAST') }} as s".replace("LAST", last) for last in LASTS],
    *[DATES % span for span in SPANS],
    "select name from {{ json_names('objects', 'document') }} as s order by name",
    "select document_key, item_number, item from {{ json_list_items('lists', 'k', 'document') }} as s order by 1, 2",
]


def almost_values(count: int) -> list[str]:
    """Texts that are, or nearly are, days, times and numbers: drawn, the same ones every time."""
    drawn = random.Random(5)
    pairs = ["00", "01", "02", "12", "13", "24", "28", "29", "30", "31", "59", "60", "1", "1x", ""]
    day = [["2024", "2023", "2024", "1899", "1900", "2199", "2200", "0024", "20244", "202"], ["-"], pairs, ["-"], pairs]
    seconds = ["", ":00", ":59", ":60", ":5x", ":59.", ":59.5", ":59.123456", ":59.1234567", ":59.12x"]
    time = [["T", " ", "t", "_"], [f"{hour:02}" for hour in range(24)], [":"], ["00", "30", "59", "60", "1x"], seconds]
    zones = ["", "", "", "Z", " UTC", "+01", "+05:30", "-0530", "+1", " +01", "z", " ", "+99", "+15:59", "+16:00"]
    wholes = ["0", "7", "007", "13085", "99999999999999", "9" * 20, "", "1_0", "0x1", "\u0661"]
    fractions = ["", ".0", ".5", ".99995", ".00005", ".00004999", ",5", ".5.5"]
    number = [["", "-", "+", "--", "\t", " ", "\xa0"], wholes, fractions, ["", "", "e0", "e2", "E-2", "\n", "x"]]
    shapes = [day, [*day, *time, zones], [["2024-02-29", "2024-03-31"], *time, zones], number]
    return sorted({"".join(map(drawn.choice, drawn.choice(shapes))) for _ in range(count)})


def of_texts(engine: str, values: list[str]) -> str:
    """Every reader of text on some values, in the engine's SQL."""
    listed = ", ".join(f"({number}, {literal(value, engine)})" for number, value in enumerate(values))
    readers = ", ".join(f"{expression} as c{number}" for number, expression in enumerate(OF_TEXTS))
    return render(f"select k, {readers} from (values {listed}) as given (k, t) order by k", engine, POLICY)


def literal(value: str, engine: str) -> str:
    doubled = value.replace("'", "''")
    return "'" + (doubled.replace("\\", "\\\\") if engine == "spark" else doubled) + "'"


def queries(engine: str) -> Iterator[str]:
    """Every macro on every awkward value; each row begins with its number."""

    def rows(values: list[str], cast: str) -> str:
        listed = ", ".join(f"({number}, {literal(value, engine)})" for number, value in enumerate(values))
        return f"(select k, {cast} as t from (values {listed}) as given (k, v)) as given"

    columns = [
        (OF_INSTANTS, rows(INSTANTS, "cast(v as timestamp)")),
        (OF_TEXTS, rows(TEXTS, "v")),
        (OF_DOCUMENTS, rows(DOCUMENTS, "v")),
        (
            OF_NUMBERS,
            "(select k, cast(a as decimal(18, 2)) as a, cast(n as integer) as n from (values "
            + ", ".join(f"({k}, '{a}', {n})" for k, (a, n) in enumerate(NUMBERS))
            + ") as given (k, a, n)) as given",
        ),
    ]
    for expressions, given in columns:
        listed = ", ".join(f"{expression} as c{number}" for number, expression in enumerate(expressions))
        yield f"select k, {listed} from {given} order by k"
    for series in SERIES:
        objects = f"select 'files' as system, {literal(DOCUMENTS[0], engine)} as document"
        lists = f"select 'k' as k, {literal(LIST, engine)} as document"
        yield f"with objects as ({objects}), lists as ({lists}) {series}"


def told(value: Any) -> Any:
    """A value without what only the driver adds."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def disagreements(engine: str, ask: Callable[[str], list[tuple[Any, ...]]]) -> dict[str, tuple[Any, Any]]:
    """Where an engine answers otherwise than DuckDB, by macro and row."""
    on_duckdb = duckdb.connect()
    on_duckdb.execute("set TimeZone = 'UTC'")
    found: dict[str, tuple[Any, Any]] = {}
    for ours, theirs in zip(queries("duckdb"), queries(engine), strict=True):
        expected = [tuple(map(told, row)) for row in on_duckdb.execute(render(ours, "duckdb", POLICY)).fetchall()]
        answered = [tuple(map(told, row)) for row in ask(render(theirs, engine, POLICY))]
        asked = ["row", *re.findall(r"\{\{ .*? \}\}", ours)]
        for row, other in zip(expected, answered, strict=True):
            for place, (value, answer) in enumerate(zip(row, other, strict=True)):
                if value != answer:
                    found[f"{asked[min(place, len(asked) - 1)]} of row {row[0]}"] = (value, answer)
    return found
