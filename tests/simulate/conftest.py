"""One small shop with dirt and one without, simulated once per session, each with every table as a DuckDB view."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from ritorno.simulate import SimulationReport, simulate
from ritorno.simulate.columns import contract

END = date(2026, 3, 31)


class Simulated:
    """A simulation and a connection that sees raw tables as they are named and the truth as truth_<name>."""

    def __init__(self, report: SimulationReport, format: str) -> None:
        self.report = report
        self.con = duckdb.connect()
        self.con.execute("set timezone = 'UTC'")
        for name in contract():
            path = report.raw / name
            files = f"{path}/*.{format}" if path.is_dir() else f"{path}.{format}"
            read = "read_parquet('{}')" if format == "parquet" else "read_csv('{}', all_varchar = true)"
            self.con.execute(f"create view {name} as select * from {read.format(files)}")
        for file in (report.out / "truth").glob("*.parquet"):
            self.con.execute(f"create view truth_{file.stem} as select * from read_parquet('{file}')")

    def rows(self, query: str) -> list[tuple]:
        return self.con.execute(query).fetchall()

    def one(self, query: str):
        return self.rows(query)[0][0]


@pytest.fixture(scope="session")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    out: Path = tmp_path_factory.mktemp("dirty")
    return Simulated(simulate(out, customers=2500, seed=3, years=2, end=END, dirt=0.02, format="csv"), "csv")


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    out: Path = tmp_path_factory.mktemp("clean")
    return Simulated(simulate(out, customers=2500, seed=4, years=2, end=END, dirt=0.0, format="parquet"), "parquet")
