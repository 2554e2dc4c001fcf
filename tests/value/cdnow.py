"""The CDNOW 1/10 sample (Fader & Hardie), which is not committed: tests that need it are skipped without it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ritorno.home import PROJECT_ROOT
from ritorno.value.backtest import History


def data_file(name: str) -> Path:
    """A file of shared/data, beside the repository or where RITORNO_SHARED_DATA says; skips the test without it."""
    places = [Path(os.environ.get("RITORNO_SHARED_DATA", "/nowhere"))]
    places += [folder / "shared" / "data" for folder in PROJECT_ROOT.parents]
    for place in places:
        if (place / name).exists():
            return place / name
    pytest.skip(f"{name} is not here (shared/data; set RITORNO_SHARED_DATA)")


def cdnow_orders() -> pd.DataFrame:
    """One row per order: customer, date, dollars."""
    names = ["master", "customer", "date", "cds", "dollars"]
    orders = pd.read_csv(data_file("cdnow_sample.txt"), sep=r"\s+", header=None, names=names, dtype={"date": str})
    return orders.assign(date=pd.to_datetime(orders["date"]))


def cdnow(split: str = "1997-09-30", end: str = "1998-06-30") -> History:
    """The sample's customers at the split, by plain pandas, and what they did until the end."""
    days = cdnow_orders().groupby(["customer", "date"], as_index=False)["dollars"].sum()
    at = pd.Timestamp(split)
    known, later = days[days["date"] <= at], days[(days["date"] > at) & (days["date"] <= pd.Timestamp(end))]
    dates = known.groupby("customer")["date"].agg(["min", "max", "count"])
    repeat = known[known["date"] > known["customer"].map(dates["min"])]
    after = later.groupby("customer").agg(n=("date", "count"), first=("date", "min"), worth=("dollars", "sum"))
    after = after.reindex(dates.index)
    return History(
        x=dates["count"].to_numpy() - 1,
        t_x=(dates["max"] - dates["min"]).dt.days.to_numpy() / 7,
        T=(at - dates["min"]).dt.days.to_numpy() / 7,
        mean_spend=repeat.groupby("customer")["dollars"].mean().reindex(dates.index).to_numpy(),
        later_orders=after["n"].fillna(0).to_numpy().astype(np.int64),
        later_revenue=after["worth"].fillna(0.0).to_numpy(),
        days_to_next=(after["first"] - at).dt.days.to_numpy(dtype=np.float64, na_value=np.nan),
        days=(pd.Timestamp(end) - at).days,
    )
