"""Files: one writer per batch file, kept open over the chunks, so that memory is bounded."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from ritorno.simulate.columns import INSTANT, Ints, contract, instant_text
from ritorno.simulate.dirt import Dirt

Format = Literal["csv", "parquet"]

BATCHED = frozenset({"orders", "order_items", "refunds", "payments"})
"""Tables that come as a folder of monthly files."""
ROW_GROUP = 25_000
"""Rows gathered before they are written: with a file per month this, not the number of customers, sets the memory."""
LOW_CARDINALITY = frozenset(
    {
        "status", "currency", "channel", "store", "store_timezone", "coupon_code", "account_type", "kind", "method",
        "reason", "type", "country", "acquisition_channel", "campaign_id", "arm", "plan_id", "interval", "survey",
        "purpose", "source", "basis", "product_id", "first_name", "last_name", "quantity", "shipping", "rate",
    }
)  # fmt: skip


class TableFile:
    """One file of a raw or truth table; rows are gathered until they are worth a row group."""

    def __init__(self, path: Path, kind: Format) -> None:
        self.path = path
        self.kind = kind
        self.rows = 0
        self._waiting: list[pa.Table] = []
        self._count = 0
        self._writer: Any = None

    def add(self, table: pa.Table) -> None:
        """Append rows."""
        self._waiting.append(table)
        self._count += table.num_rows
        self.rows += table.num_rows
        if self._count >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        self._waiting, self._count = [], 0
        table = _without_zone(table) if self.kind == "parquet" else _instants_as_text(table)
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = _open(self.path, table.schema, self.kind)
        self._writer.write_table(table)

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        if self._writer is not None:
            self._writer.close()


def _open(path: Path, schema: pa.Schema, kind: Format) -> pacsv.CSVWriter | pq.ParquetWriter:
    if kind == "csv":
        return pacsv.CSVWriter(str(path), schema, write_options=pacsv.WriteOptions(quoting_style="needed"))
    dictionary = [name for name in schema.names if name in LOW_CARDINALITY]
    return pq.ParquetWriter(str(path), schema, compression="zstd", compression_level=1, use_dictionary=dictionary)


def _without_zone(table: pa.Table) -> pa.Table:
    """UTC instants as plain timestamps of microseconds, which every reader takes for a TIMESTAMP."""
    plain = pa.timestamp("us")
    for at, entry in enumerate(table.schema):
        if entry.type == INSTANT:
            values = pc.cast(pc.cast(table.column(at), pa.timestamp("s")), plain)
            table = table.set_column(at, entry.name, values)
    return table


def _instants_as_text(table: pa.Table) -> pa.Table:
    """Instants as CSV shows them."""
    for at, entry in enumerate(table.schema):
        if entry.type == INSTANT:
            table = table.set_column(at, entry.name, instant_text(table.column(at)))
    return table


class Writer:
    """All files of a simulation."""

    def __init__(self, out: Path, kind: Format, months: list[str], dirt: Dirt, seed: int) -> None:
        self.raw = out / "raw"
        self.truth_dir = out / "truth"
        self.kind = kind
        self.months = months
        self.dirt = dirt
        self._files: dict[tuple[str, int], TableFile] = {}
        self._truth: dict[str, TableFile] = {}
        # one thread writes, in the order of the calls, while the next chunk is drawn
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="simulate-write")
        self._pending: list[Future[None]] = []
        self._before: list[Future[None]] = []
        self._rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(1,))))

    def add(self, name: str, table: pa.Table, month: Ints | None = None) -> None:
        """Rows of a raw table, with the month of the batch that brings each where it comes in batches."""
        self._pending.append(self._thread.submit(self._add, name, table, month))

    def breathe(self) -> None:
        """Wait until all but the newest chunk is written, so that no more than two are in memory."""
        for future in self._before:
            future.result()
        self._before, self._pending = self._pending, []

    def _add(self, name: str, table: pa.Table, month: Ints | None) -> None:
        if name not in BATCHED:
            self._put(name, -1, table)
            return
        assert month is not None
        order = np.argsort(month, kind="stable")
        table = table.take(pa.array(order))
        edges = np.searchsorted(month[order], np.arange(len(self.months) + 1))
        for k in range(len(self.months)):
            if edges[k + 1] > edges[k]:
                self._put(name, k, table.slice(edges[k], edges[k + 1] - edges[k]))

    def _put(self, name: str, batch: int, table: pa.Table) -> None:
        key = (name, batch)
        if key not in self._files:
            path = (
                self.raw / f"{name}.{self.kind}" if batch < 0 else self.raw / name / f"{self.months[batch]}.{self.kind}"
            )
            self._files[key] = TableFile(path, self.kind)
        self._files[key].add(self.dirt.spoil(name, table, self._rng))

    def truth(self, name: str, columns: dict[str, Any]) -> None:
        """Rows of a truth table."""
        self._pending.append(self._thread.submit(self._add_truth, name, columns))

    def _add_truth(self, name: str, columns: dict[str, Any]) -> None:
        if name not in self._truth:
            self._truth[name] = TableFile(self.truth_dir / f"{name}.parquet", "parquet")
        self._truth[name].add(pa.table(columns))

    def finish(self) -> None:
        """Wait for everything handed over so far."""
        self.breathe()
        self.breathe()

    def stop(self) -> None:
        """End the thread, whatever it still has to do."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def close(self) -> dict[str, int]:
        """Finish every file; the rows of each raw table (0 for one that never came)."""
        self.finish()
        for file in (*self._files.values(), *self._truth.values()):
            file.close()
        rows = dict.fromkeys(contract(), 0)
        for (name, _), file in self._files.items():
            rows[name] += file.rows
        return rows
