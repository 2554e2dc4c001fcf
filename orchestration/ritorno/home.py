"""Where a run writes: one folder, the home, and the fixed places below it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""The repository's root: dbt_project.yml, models/, expectations/ stand here."""


@dataclass(frozen=True)
class Home:
    """The folder everything a run writes stands below, with absolute paths."""

    root: Path

    @classmethod
    def at(cls, root: Path | str | None = None) -> Home:
        """The home at `root`, else at RITORNO_HOME, else ./var below the repository's root."""
        chosen = root or os.environ.get("RITORNO_HOME") or PROJECT_ROOT / "var"
        return cls(Path(chosen).expanduser().resolve())

    @property
    def warehouse(self) -> Path:
        """The DuckDB warehouse: raw, staging, intermediate, marts. One writer; BI never opens it."""
        return self.root / "warehouse.duckdb"

    @property
    def state(self) -> Path:
        """What is no function of raw data and as-of (run log, check history, publish state); outlives the warehouse."""
        return self.root / "state.duckdb"

    @property
    def published(self) -> Path:
        """The pointer (a relative symlink) to the run folder that BI reads."""
        return self.root / "published"

    @property
    def runs(self) -> Path:
        """Published runs, one folder each, the last few kept."""
        return self.root / "runs"

    @property
    def quarantine(self) -> Path:
        """Rows that could not be read or related, by table, as files a person can open."""
        return self.root / "quarantine"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME."""
        return self.root / "dagster"

    @property
    def logs(self) -> Path:
        """Logs of runs, dbt's included."""
        return self.root / "logs"

    @property
    def tmp(self) -> Path:
        """Spill and scratch; safe to delete between runs."""
        return self.root / "tmp"

    @property
    def docs(self) -> Path:
        """Great Expectations' Data Docs."""
        return self.root / "data_docs"

    @property
    def demo(self) -> Path:
        """The simulated shop of `ritorno demo`; a home that has one takes no real data."""
        return self.root / "demo-raw"

    @property
    def lock(self) -> Path:
        """The file lock held by whoever opens the warehouse for writing."""
        return self.root / "refresh.lock"

    def ensure(self) -> Home:
        """Create the folders; returns self."""
        for folder in (self.root, self.runs, self.quarantine, self.dagster, self.logs, self.tmp):
            folder.mkdir(parents=True, exist_ok=True)
        return self
