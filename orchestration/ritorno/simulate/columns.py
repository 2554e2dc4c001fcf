"""Arrow columns from numpy arrays, without a Python loop over rows.

Inside the simulator instants are int64 seconds since 1970 UTC, money is int64 cents and codes are integers with −1 for
null; here they become the columns of the canonical contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ritorno.contract import RawTable, systems

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]

NEVER = int(np.iinfo(np.int64).min)
"""The null of instants and money."""

INSTANT = pa.timestamp("s", "UTC")
ARROW_TYPES: Mapping[str, Any] = {
    "string": pa.string(),
    "json": pa.string(),
    "timezone": pa.string(),
    "timestamp": INSTANT,
    "date": pa.date32(),
    "decimal": pa.decimal128(18, 2),
    "rate": pa.decimal128(18, 8),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
}


def _validity(valid: Bools | None) -> pa.Array:
    return None if valid is None or bool(valid.all()) else pa.py_buffer(np.packbits(valid, bitorder="little"))


def numbered(prefix: str, numbers: Ints, width: int = 9, valid: Bools | None = None) -> pa.Array:
    """Text ids `prefix` + zero-padded number; null where `valid` is false or the number negative."""
    valid = (numbers >= 0) if valid is None else valid & (numbers >= 0)
    start = len(prefix)
    text = np.empty((len(numbers), start + width), dtype=np.uint8)
    text[:, :start] = np.frombuffer(prefix.encode("ascii"), dtype=np.uint8)
    rest = np.where(valid, numbers, 0)
    for place in range(width - 1, -1, -1):
        rest, digit = np.divmod(rest, 10)
        text[:, start + place] = digit + 48
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * (start + width)
    return pa.Array.from_buffers(
        pa.string(), len(numbers), [_validity(valid), pa.py_buffer(offsets), pa.py_buffer(text)]
    )


def pick(values: Sequence[str], codes: npt.NDArray[Any]) -> pa.Array:
    """The texts behind the codes; a negative code is null."""
    return pa.array(list(values), pa.string()).take(pa.array(codes.astype(np.int64), mask=codes < 0))


def take(values: pa.Array, index: npt.NDArray[Any]) -> pa.Array:
    """`values[index]`; a negative index is null."""
    return values.take(pa.array(index.astype(np.int64), mask=index < 0))


def choose(condition: Bools, left: pa.Array, right: pa.Array) -> pa.Array:
    """`left` where the condition holds, else `right`; both are arrays or null."""
    return pc.if_else(pa.array(condition), left, right)


def keep(condition: Bools, values: pa.Array) -> pa.Array:
    """The values where the condition holds, null elsewhere."""
    return pc.if_else(pa.array(condition), values, pa.scalar(None, values.type))


def instants(seconds: Ints) -> pa.Array:
    """Instants; NEVER is null."""
    data = np.ascontiguousarray(seconds, dtype=np.int64)
    return pa.Array.from_buffers(INSTANT, len(data), [_validity(data != NEVER), pa.py_buffer(data)])


def _decimal(units: Ints, kind: pa.DataType) -> pa.Array:
    words = np.empty((len(units), 2), dtype=np.int64)
    words[:, 0] = units
    words[:, 1] = units >> 63
    return pa.Array.from_buffers(kind, len(units), [_validity(units != NEVER), pa.py_buffer(words)])


def money(cents: Ints) -> pa.Array:
    """Amounts with two places; NEVER is null."""
    return _decimal(cents, ARROW_TYPES["decimal"])


def whole(units: npt.NDArray[Any]) -> pa.Array:
    """Whole numbers as the contract's decimal (quantities)."""
    return _decimal(units.astype(np.int64) * 100, ARROW_TYPES["decimal"])


def rates(units: Ints) -> pa.Array:
    """Exchange rates with eight places, given in 1e-8."""
    return _decimal(units, ARROW_TYPES["rate"])


def flags(values: Bools, valid: Bools | None = None) -> pa.Array:
    """Booleans."""
    return pa.array(values, mask=None if valid is None else ~valid)


def numbers(values: npt.NDArray[Any], valid: Bools | None = None) -> pa.Array:
    """Whole numbers."""
    return pa.array(values.astype(np.int64), mask=None if valid is None else ~valid)


def instant_text(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Instants as `2024-01-31 09:30:00Z`, ten times as fast as Arrow's own cast of zoned timestamps."""
    whole_column = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    valid = np.asarray(whole_column.is_valid())
    seconds = np.asarray(whole_column.view(pa.int64()).fill_null(0), dtype=np.int64)
    day, second = np.divmod(seconds, 86_400)
    first, which = int(day.min(initial=0)), day - int(day.min(initial=0))
    calendar = np.arange(first, int(day.max(initial=0)) + 1).astype("datetime64[D]").astype("S10")
    text = np.empty((len(seconds), 20), dtype=np.uint8)
    text[:, :10] = calendar.view(np.uint8).reshape(-1, 10)[which]
    text[:, 10], text[:, 13], text[:, 16], text[:, 19] = (ord(x) for x in " ::Z")
    for place, value in ((11, second // 3600), (14, second // 60 % 60), (17, second % 60)):
        text[:, place], text[:, place + 1] = value // 10 + 48, value % 10 + 48
    offsets = np.arange(len(seconds) + 1, dtype=np.int32) * 20
    return pa.Array.from_buffers(
        pa.string(), len(seconds), [_validity(valid), pa.py_buffer(offsets), pa.py_buffer(text)]
    )


def as_plain_text(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Any column as text."""
    return instant_text(values) if values.type == INSTANT else pc.cast(values, pa.string())


def contract() -> Mapping[str, RawTable]:
    """The canonical raw tables by name."""
    return systems()["files"]


def frame(table: str, rows: int, columns: Mapping[str, Any]) -> pa.Table:
    """An Arrow table with every column of the contract, in its order; columns not given are null.

    Raises:
        KeyError: a column that the contract doesn't know.
    """
    declared = {column.name: ARROW_TYPES.get(column.data_type, pa.string()) for column in contract()[table].columns}
    if unknown := set(columns) - set(declared):
        raise KeyError(f"{table} has no columns {sorted(unknown)}")
    arrays = [columns[name] if name in columns else pa.nulls(rows, kind) for name, kind in declared.items()]
    return pa.table(arrays, schema=pa.schema(list(declared.items())))
