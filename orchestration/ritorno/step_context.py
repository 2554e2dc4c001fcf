"""What a Python step of a refresh may know: its warehouse, and the run it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from ritorno.home import Home


@dataclass(frozen=True)
class StepContext:
    """The run that a step belongs to.

    A step writes its output tables in `warehouse` and nothing else; what it reads of the home (the state store) it
    reads. What outlives the warehouse is written after publishing, by `ritorno.pipeline.write_state`.

    Attributes:
        warehouse: open for writing; what the step does is committed whole or not at all.
        policy: every policy var of the run.
        as_of: the day the run is a function of.
        home: where the state store stands.
        manifest: dbt's manifest.json of the run: models, exposures and their `meta`.
        run_id: the run's name.
    """

    warehouse: duckdb.DuckDBPyConnection
    policy: Mapping[str, Any]
    as_of: date
    home: Home
    manifest: Mapping[str, Any]
    run_id: str = ""
