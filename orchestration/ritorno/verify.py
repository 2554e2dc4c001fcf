"""`ritorno verify`: everything built again from the landed tables, and every mart compared value by value.

The proof on demand that incremental refreshes have left what a full one makes. The rebuild is made by the embedded
engine in a scratch folder of the home, whichever engine the refreshes use: the marts are the same on all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from ritorno import comparison, incremental, sql
from ritorno.comparison import Difference
from ritorno.dbt import DbtProject, marts
from ritorno.errors import UnusableInput
from ritorno.home import Home
from ritorno.policy import Policy
from ritorno.run_log import RunLog
from ritorno.scratch import LANDED, build, scratch_home
from ritorno.steps import STEPS

STATE_STEPS = ("published_history", "audience_history", "experiment_records")
"""Steps that tell what earlier sends came to. A send goes on after a refresh: what the refresh saw is taken over."""
_DECIDED = "select as_of_date, policy_hash from intermediate.int_changes__run"


@dataclass(frozen=True)
class Verdict:
    """What the comparison found.

    Attributes:
        as_of: the day of both.
        marts: how many were compared.
        rows: rows of all of them.
        differences: by mart; empty if every value is the same.
        seconds: what it took.
    """

    as_of: date
    marts: int
    rows: int
    differences: Sequence[Difference]
    seconds: float


def verify(
    home: Home, policy: Policy, as_of: date | None = None, say: Callable[[str], None] = lambda text: None
) -> Verdict:
    """Compare the marts that stand in the home, or those an incremental run as of another day would make, with a full
    build from the same landed tables.

    Args:
        home: where the last refresh stands.
        policy: that refresh's.
        as_of: another day than the last refresh's: both are built in scratch folders then.
        say: told what is done.

    Raises:
        UnusableInput: nothing stands here that could be compared.
    """
    began = time.monotonic()
    last = _last_day(home, policy)
    day = as_of or last
    if day == last:
        return _against(home, home, policy, day, say, began)
    say(f"building as of {day} on what the last refresh left …")
    with scratch_home(home, "verify-next", _schemas(home)) as ahead:
        _rebuild(ahead, policy, day, full=False)
        tier = incremental.decision_in(ahead, incremental.RUN)
        say(f"  {tier.sentence}" if tier else "  there was no heavy tier")
        return _against(home, ahead, policy, day, say, began)


def _against(
    home: Home, standing: Home, policy: Policy, day: date, say: Callable[[str], None], began: float
) -> Verdict:
    taken_over = {schema for step in STEPS if step.name in STATE_STEPS for schema, _ in step.tables}
    with scratch_home(home, "verify-full", (*LANDED, *sorted(taken_over))) as scratch:
        say(f"building everything as of {day} from the landed tables …")
        _rebuild(scratch, policy, day, full=True)
        names = [str(mart["name"]) for mart in marts(DbtProject(scratch, policy.overrides).manifest())]
        say(f"comparing {len(names)} marts …")
        with duckdb.connect(config={"temp_directory": str(scratch.tmp)}) as con:
            sql.bound_memory(con)
            con.execute(f"attach {sql.text(str(standing.warehouse))} as standing (read_only)")
            con.execute(f"attach {sql.text(str(scratch.warehouse))} as rebuilt (read_only)")
            found = comparison.differences(con, names, "standing.marts", "rebuilt.marts")
            rows = sum(sql.count(con, f"rebuilt.marts.{sql.name(name)}") for name in names)
    return Verdict(day, len(names), rows, found, time.monotonic() - began)


def _last_day(home: Home, policy: Policy) -> date:
    """The day of the last refresh, if its raw tables and its marts are of one moment."""
    if not home.warehouse.is_file():
        raise UnusableInput(f"no warehouse at {home.warehouse}: refresh first, so that there is something to compare")
    attempts = RunLog(home).last()
    if attempts and attempts[0].status not in ("published", "built"):
        raise UnusableInput(
            f"the last refresh of {home.root} is {attempts[0].status}: what landed and what was built are of two "
            "moments. Refresh until it is published, then verify"
        )
    try:
        with duckdb.connect(str(home.warehouse), read_only=True) as con:
            row = con.execute(_DECIDED).fetchone()
    except duckdb.CatalogException:
        row = None
    if row is None:
        raise UnusableInput(f"{home.root} was last refreshed by a version that kept no account of it: refresh first")
    if row[1] not in ("", incremental.policy_hash(policy.values)):
        raise UnusableInput("the last refresh had another policy: give verify the same --vars")
    day: date = row[0]
    return day


def _schemas(home: Home) -> Collection[str]:
    with duckdb.connect(str(home.warehouse), read_only=True) as con:
        return [row[0] for row in con.execute("select distinct schema_name from duckdb_tables()").fetchall()]


def _rebuild(scratch: Home, policy: Policy, day: date, *, full: bool) -> None:
    project = DbtProject(scratch, policy.overrides, full=full)
    build(project, day, policy, "verify", without_steps=STATE_STEPS)
