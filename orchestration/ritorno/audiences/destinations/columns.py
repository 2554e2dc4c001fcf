"""Members as typed rows in CSV, JSON Lines and Parquet, and back, without loss.

A part is a table with `member_id` and one column per declared field. CSV leaves a null empty and quotes every text, so
that an empty text stays one; JSON Lines holds decimals, days and times as text; Parquet holds them as themselves.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from ritorno.audiences.destinations.base import Member, Value
from ritorno.audiences.destinations.values import UnsendableValue, as_text, as_utc

KEY = "member_id"
TYPES = ("text", "integer", "number", "decimal", "boolean", "date", "timestamp")
UNKNOWN = "null"
"""The type of a column without any value so far."""
FORMATS = ("csv", "jsonl", "parquet")
DECIMAL_DIGITS = (38, 9)


def type_of(value: Value) -> str | None:
    """The column type of a value; None for null, which fits any."""
    # bool is an int and datetime a date, so the order matters.
    for name, python in (
        ("boolean", bool),
        ("integer", int),
        ("number", float),
        ("decimal", Decimal),
        ("timestamp", datetime),
        ("date", date),
        ("text", str),
    ):
        if isinstance(value, python):
            return name
    return None


def fitted(value: Value, column: str) -> Value:
    """A value as its column holds it."""
    found = type_of(value)
    if found is None:
        return None
    if found == "decimal" or (column == "decimal" and found == "integer"):
        value = Decimal(str(value))
        if not value.is_finite() or round(value, DECIMAL_DIGITS[1]) != value or abs(value) >= Decimal(10) ** 29:
            raise UnsendableValue("has more digits than decimal(38, 9)")
    if isinstance(value, float) and not math.isfinite(value):
        raise UnsendableValue("is no finite number")
    if found == "integer" and not -(2**63) <= value < 2**63:  # type: ignore[operator]
        raise UnsendableValue("is larger than 64 bits hold")
    if found == column:
        if isinstance(value, datetime):
            return as_utc(value)
        return as_text(value) if isinstance(value, str) else value
    if column == "number" and found in ("integer", "decimal"):
        return float(value)  # type: ignore[arg-type]
    if column == "decimal" and found == "integer":
        return value
    raise UnsendableValue(f"is a {found} where the column holds {column}")


@dataclass(frozen=True)
class Columns:
    """The fields of an audience and their types, in the order of the columns."""

    types: Mapping[str, str]

    @classmethod
    def of(cls, members: Iterable[Member], known: Mapping[str, str]) -> Columns:
        """What is known, and what the members bring beyond it. A field that was null so far takes any type yet."""
        types = dict(known)
        for member in members:
            for name, value in member.fields.items():
                if types.get(name, UNKNOWN) == UNKNOWN:
                    types[name] = type_of(value) or UNKNOWN
        return cls(types)

    def row(self, member: Member) -> Member:
        """The member with exactly these fields, each as its column holds it.

        Raises:
            UnsendableValue: a value doesn't fit (the field is named, the value isn't).
        """
        as_text(member.member_id)
        fields: dict[str, Value] = {}
        for name, column in self.types.items():
            try:
                fields[name] = fitted(member.fields.get(name), column)
            except UnsendableValue as error:
                raise UnsendableValue(f"field {name} {error}") from None
        return Member(member.member_id, fields)

    def encode(self, rows: Sequence[Member], form: str) -> bytes:
        """One part."""
        if form == "jsonl":
            return b"".join(self._line(row) for row in rows)
        import pyarrow
        import pyarrow.csv
        import pyarrow.parquet

        schema = self._schema(pyarrow)
        columns = [[row.member_id for row in rows]]
        columns += [[row.fields.get(name) for row in rows] for name in self.types]  # type: ignore[misc]
        table = pyarrow.table(
            [pyarrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
        )
        sink = io.BytesIO()
        if form == "parquet":
            pyarrow.parquet.write_table(table, sink, compression="zstd")
        else:
            pyarrow.csv.write_csv(self._decimals_as_text(table, pyarrow), sink)
        return sink.getvalue()

    def decode(self, data: bytes, form: str) -> list[Member]:
        """The rows of one part."""
        if form == "jsonl":
            return [self._member(json.loads(line)) for line in data.splitlines() if line]
        import pyarrow
        import pyarrow.csv
        import pyarrow.parquet

        if form == "parquet":
            table = pyarrow.parquet.read_table(io.BytesIO(data))
        else:
            options = pyarrow.csv.ConvertOptions(
                column_types=self._schema(pyarrow),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            )
            parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
            table = pyarrow.csv.read_csv(io.BytesIO(data), convert_options=options, parse_options=parsing)
        return [self._typed(row) for row in table.to_pylist()]

    def _schema(self, pyarrow: Any) -> Any:  # noqa: ANN401  pyarrow comes without types
        arrow = {
            UNKNOWN: pyarrow.string(),
            "text": pyarrow.string(),
            "integer": pyarrow.int64(),
            "number": pyarrow.float64(),
            "decimal": pyarrow.decimal128(*DECIMAL_DIGITS),
            "boolean": pyarrow.bool_(),
            "date": pyarrow.date32(),
            "timestamp": pyarrow.timestamp("us", "UTC"),
        }
        fields = [pyarrow.field(KEY, pyarrow.string(), nullable=False)]
        return pyarrow.schema(fields + [pyarrow.field(name, arrow[column]) for name, column in self.types.items()])

    def _decimals_as_text(self, table: Any, pyarrow: Any) -> Any:  # noqa: ANN401
        # 12.50 and not 12.500000000: people open these files.
        for place, column in enumerate(self.types.values(), start=1):
            if column == "decimal":
                texts = [
                    str(value.normalize() + 0) if value is not None else None for value in table[place].to_pylist()
                ]
                table = table.set_column(place, table.column_names[place], pyarrow.array(texts, pyarrow.string()))
        return table

    def _line(self, row: Member) -> bytes:
        shown = {KEY: row.member_id, **{name: _plain(row.fields.get(name)) for name in self.types}}
        return json.dumps(shown, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"

    def _member(self, row: dict[str, Any]) -> Member:
        return Member(row.pop(KEY), {name: _typed(row.get(name), column) for name, column in self.types.items()})

    def _typed(self, row: dict[str, Any]) -> Member:
        member_id = row.pop(KEY)
        fields = {name: _exact(row.get(name)) for name in self.types}
        return Member(member_id, fields)


def _plain(value: Value) -> str | int | float | bool | None:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def _typed(value: Any, column: str) -> Value:  # noqa: ANN401  as JSON gives it
    if value is None:
        return None
    if column == "decimal":
        return Decimal(value)
    if column == "date":
        return date.fromisoformat(value)
    if column == "timestamp":
        return datetime.fromisoformat(value)
    return float(value) if column == "number" else value


def _exact(value: Any) -> Value:  # noqa: ANN401  as pyarrow gives it
    # pyarrow's UTC is another object than datetime's, and prints another name.
    return value.astimezone(UTC) if isinstance(value, datetime) else value
