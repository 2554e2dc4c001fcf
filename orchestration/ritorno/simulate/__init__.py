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
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from ritorno.errors import UnusableInput
from ritorno.simulate.chunk import simulate_chunk
from ritorno.simulate.clock import Clock
from ritorno.simulate.dirt import Dirt, rows_of
from ritorno.simulate.people import PROCESS
from ritorno.simulate.shop import make_shop
from ritorno.simulate.truth import Totals
from ritorno.simulate.write import Format, Writer

CHUNK = 50_000
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
    clock = Clock(end, years)
    shop = make_shop(seed, clock, customers)
    writer = Writer(out, format, clock.months, Dirt(dirt), seed)
    writer.add("products", shop.products.table)
    writer.add("plans", shop.plans.table)
    writer.add("campaigns", shop.campaigns.table)
    writer.add("exchange_rates", shop.exchange_rates)
    totals = Totals.of(shop)
    for chunk, base in enumerate(range(0, customers, CHUNK)):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(2, chunk))))
        size = min(CHUNK, customers - base)
        simulate_chunk(rng, shop, chunk, base, size, writer, totals)
        if progress:
            progress(base + size, customers)
    writer.truth("campaigns", totals.campaigns(shop))
    writer.truth("dirt", rows_of(writer.dirt.counts))
    rows = writer.close()
    arguments = {
        "customers": customers,
        "seed": seed,
        "years": years,
        "end": end.isoformat(),
        "dirt": dirt,
        "format": format,
    }
    about = {"model": "MBG/NBD in operational weeks", "process": PROCESS, "arguments": arguments, "rows": rows}
    (out / "truth" / MARKER).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return SimulationReport(out, rows, writer.dirt.counts, customers, time.monotonic() - began)


def _check(out: Path, customers: int, seed: int, years: float, dirt: float, format: str) -> None:
    limits = (
        (1 <= customers <= 10_000_000, f"customers must be between 1 and 10,000,000, not {customers}"),
        (seed >= 0, f"seed must be 0 or more, not {seed}"),
        (0.05 <= years <= 30, f"years must be between 0.05 and 30, not {years}"),
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
