"""The plain questions of benchmarks.marts by pandas and Polars, from the same Parquet. In an environment of its own:

    uv run --no-project --with pandas==3.0.* --with polars --with pyarrow python benchmarks/peers/frames.py DIR

DIR holds orders.parquet and order_items.parquet (`benchmarks.marts … --keep HOME` leaves them in HOME/bench-raw). Each
question runs in a process of its own, so that its peak memory is its own. Prints JSON: by library and question, seconds
of wall clock, peak memory in GB, and the rows of the answer.
"""

import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def rfm_pandas(raw: Path) -> int:
    """Scores 1 to 5 by rank, tied customers alike."""
    import pandas as pd

    orders = pd.read_parquet(raw / "orders.parquet", columns=["customer_id", "ordered_at", "total"])
    orders["total"] = (orders["total"].astype("float64") * 100).round().astype("int64")
    totals = orders.groupby("customer_id").agg(
        last=("ordered_at", "max"), orders=("total", "size"), revenue=("total", "sum")
    )
    scores = totals.rank(method="min").sub(1).mul(5).floordiv(len(totals)).add(1)
    return len(scores)


def rfm_polars(raw: Path) -> int:
    """See rfm_pandas."""
    import polars as pl

    totals = (
        pl.scan_parquet(raw / "orders.parquet")
        .group_by("customer_id")
        .agg(pl.col("ordered_at").max().alias("last"), pl.len().alias("orders"), pl.col("total").sum().alias("revenue"))
    )
    scores = totals.with_columns(
        ((pl.col(name).rank("min") - 1) * 5 // pl.len() + 1).alias(f"{name}_score")
        for name in ("last", "orders", "revenue")
    )
    return scores.collect().height


def cohorts_pandas(raw: Path) -> int:
    """Active customers by first month and months since."""
    import pandas as pd

    orders = pd.read_parquet(raw / "orders.parquet", columns=["customer_id", "ordered_at"])
    orders["month"] = orders["ordered_at"].dt.year * 12 + orders["ordered_at"].dt.month
    months = orders[["customer_id", "month"]].drop_duplicates()
    months["cohort"] = months.groupby("customer_id")["month"].transform("min")
    months["period"] = months["month"] - months["cohort"]
    return len(months.groupby(["cohort", "period"]).size())


def cohorts_polars(raw: Path) -> int:
    """See cohorts_pandas."""
    import polars as pl

    month = (pl.col("ordered_at").dt.year().cast(pl.Int32) * 12 + pl.col("ordered_at").dt.month()).alias("month")
    return (
        pl.scan_parquet(raw / "orders.parquet")
        .select("customer_id", month)
        .unique()
        .with_columns(pl.col("month").min().over("customer_id").alias("cohort"))
        .group_by("cohort", (pl.col("month") - pl.col("cohort")).alias("period"))
        .len()
        .collect()
        .height
    )


def repurchase_pandas(raw: Path) -> int:
    """Median days between purchases of a product by the same customer."""
    import pandas as pd

    orders = pd.read_parquet(raw / "orders.parquet", columns=["order_id", "customer_id", "ordered_at"])
    orders["day"] = orders.pop("ordered_at").dt.floor("D")
    items = pd.read_parquet(raw / "order_items.parquet", columns=["order_id", "product_id"])
    bought = items.merge(orders, on="order_id")[["customer_id", "product_id", "day"]].drop_duplicates()
    bought = bought.sort_values(["customer_id", "product_id", "day"])
    bought["gap"] = bought.groupby(["customer_id", "product_id"])["day"].diff().dt.days
    return len(bought.groupby("product_id")["gap"].median())


def repurchase_polars(raw: Path) -> int:
    """See repurchase_pandas."""
    import polars as pl

    orders = pl.scan_parquet(raw / "orders.parquet").select(
        "order_id", "customer_id", pl.col("ordered_at").dt.date().alias("day")
    )
    bought = (
        pl.scan_parquet(raw / "order_items.parquet")
        .select("order_id", "product_id")
        .join(orders, on="order_id")
        .select("customer_id", "product_id", "day")
        .unique()
        .sort("customer_id", "product_id", "day")
    )
    gap = pl.col("day").diff().dt.total_days().over("customer_id", "product_id").alias("gap")
    return bought.with_columns(gap).group_by("product_id").agg(pl.col("gap").median()).collect().height


QUESTIONS: dict[tuple[str, str], Callable[[Path], int]] = {
    ("pandas", "RFM"): rfm_pandas,
    ("polars", "RFM"): rfm_polars,
    ("pandas", "cohorts"): cohorts_pandas,
    ("polars", "cohorts"): cohorts_polars,
    ("pandas", "repurchase"): repurchase_pandas,
    ("polars", "repurchase"): repurchase_polars,
}


def measured(task: tuple[tuple[str, str], Path]) -> dict[str, Any]:
    """Answer one question in this process."""
    (library, question), raw = task
    __import__(library)
    start = time.perf_counter()
    rows = QUESTIONS[library, question](raw)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {
        "library": library,
        "version": sys.modules[library].__version__,
        "question": question,
        "seconds": round(seconds, 2),
        "peak_gb": round(peak, 2),
        "rows": rows,
    }


def main(raw: Path) -> None:
    """Ask every question of every library."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:
        found = pool.map(measured, [(key, raw) for key in QUESTIONS], chunksize=1)
    json.dump(found, sys.stdout, indent=2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
