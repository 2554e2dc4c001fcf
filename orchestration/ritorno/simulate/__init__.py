"""A believable shop whose truth is known.

`simulate` writes the canonical raw tables (RAW.md) to `out/raw` and what really happened to `out/truth`, which no model
reads. The same arguments give the same bytes. Customers are drawn in chunks, each from a stream of its own, so memory
doesn't grow with their number.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from ritorno.errors import UnusableInput
from ritorno.simulate.chunk import simulate_chunk
from ritorno.simulate.clock import Clock
from ritorno.simulate.dirt import Dirt, rows_of
from ritorno.simulate.people import PROCESS
from ritorno.simulate.shop import Shop, make_shop
from ritorno.simulate.truth import Totals
from ritorno.simulate.write import Format, Writer

CHUNK = 25_000
MARKER = "simulation.json"

__all__ = ["SimulationReport", "simulate"]


@dataclass(frozen=True)
class SimulationReport:
    """What a simulation wrote.

    Attributes:
        out: where; the raw tables are in `out/raw`, the truth in `out/truth`.
        rows: rows by raw table, dirty ones included.
        dirty: dirty rows by (table, kind, fate).
        persons: how many people and companies there are.
        seconds: how long it took.
    """

    out: Path
    rows: dict[str, int]
    dirty: Counter[tuple[str, str, str]]
    persons: int
    seconds: float

    @property
    def raw(self) -> Path:
        """The folder to give to `ritorno refresh --raw`."""
        return self.out / "raw"


def simulate(
    out: Path,
    *,
    customers: int,
    seed: int,
    years: float,
    end: date,
    dirt: float = 0.01,
    format: Format = "csv",
    progress: Callable[[int, int], None] | None = None,
) -> SimulationReport:
    """Write a simulated shop.

    Args:
        out: a new or empty folder, or one that a simulation wrote (it is replaced).
        customers: people and companies, known to the shop under one address or several.
        seed: any whole number ≥ 0.
        years: length of the history, which ends with `end`.
        end: the last day.
        dirt: share of dirty rows per table, below 0.04.
        format: csv or parquet.
        progress: called with (customers done, customers) after each chunk.

    Raises:
        UnusableInput: an argument is out of range, or `out` holds something else.
    """
    _check(out, customers, seed, years, dirt, format)
    began = time.monotonic()
    arguments = {
        "customers": customers,
        "seed": seed,
        "years": years,
        "end": end.isoformat(),
        "dirt": dirt,
        "format": format,
    }
    about: dict[str, object] = {"model": "MBG/NBD in operational weeks", "process": PROCESS, "arguments": arguments}
    _mark(out, about | {"finished": False})
    clock = Clock(end, years)
    shop = make_shop(seed, clock, customers)
    writer = Writer(out, format, clock.months, Dirt(dirt), seed)
    try:
        rows = _write(shop, seed, customers, writer, progress)
    finally:
        writer.stop()
    _mark(out, about | {"finished": True, "rows": rows})
    return SimulationReport(out, rows, writer.dirt.counts, customers, time.monotonic() - began)


def _write(
    shop: Shop, seed: int, customers: int, writer: Writer, progress: Callable[[int, int], None] | None
) -> dict[str, int]:
    writer.add("products", shop.products.table)
    writer.add("plans", shop.plans.table)
    writer.add("campaigns", shop.campaigns.table)
    writer.add("exchange_rates", shop.exchange_rates)
    totals = Totals.of(shop)
    for chunk, base in enumerate(range(0, customers, CHUNK)):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(2, chunk))))
        size = min(CHUNK, customers - base)
        simulate_chunk(rng, shop, chunk, base, size, writer, totals)
        writer.breathe()
        if progress:
            progress(base + size, customers)
    writer.finish()
    writer.truth("campaigns", totals.campaigns(shop))
    writer.truth("dirt", rows_of(writer.dirt.counts))
    return writer.close()


def _mark(out: Path, about: Mapping[str, object]) -> None:
    """Say that this folder is ours, from the first file on, so that a killed simulation can be run again."""
    (out / "truth").mkdir(parents=True, exist_ok=True)
    (out / "truth" / MARKER).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _check(out: Path, customers: int, seed: int, years: float, dirt: float, format: str) -> None:
    limits = (
        (1 <= customers <= 10_000_000, f"customers must be between 1 and 10,000,000, not {customers}"),
        (seed >= 0, f"seed must be 0 or more, not {seed}"),
        (0.05 <= years <= 15, f"years must be between 0.05 and 15, not {years}"),
        (0 <= dirt < 0.04, f"dirt is a share below 0.04, not {dirt}"),
        (format in ("csv", "parquet"), f"format must be csv or parquet, not {format}"),
        (not out.exists() or out.is_dir(), f"{out} is a file, not a folder"),
    )
    for holds, message in limits:
        if not holds:
            raise UnusableInput(message)
    if out.is_dir() and any(out.iterdir()):
        if not (out / "truth" / MARKER).is_file():
            raise UnusableInput(f"{out} isn't empty and holds no simulation: name a new folder")
        for part in ("raw", "truth"):
            shutil.rmtree(out / part, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
