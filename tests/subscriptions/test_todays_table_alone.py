"""Only today's `subscriptions`: METRICS.md says what is known of the past, and that it is marked `is_inferred`.

The shop's table is played from a log, then only its rows of today are given. What must equal the log is what the row
tells: when it began, today's state and money, since when it is paused, when it ended. All else must be what a person
would read off the row, and say that it was read off.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.subscriptions.oracle import BERLIN, ENDS, UTC, YEARLY, business_day, close_of
from tests.subscriptions.test_against_oracle import RATES
from tests.subscriptions.test_snapshot_way import LAST, START, Row, closes, days_of, machine, seen, table_row, walk
from tests.support import Project
from tests.support.examples import many

Close = tuple[str, Decimal, Decimal, bool]


def instant(day: date) -> datetime:
    """When a business day begins, in UTC."""
    return datetime.combine(day, time(), BERLIN).astimezone(UTC).replace(tzinfo=None)


def amount(row: Row) -> Decimal:
    """What it brings a month at today's terms, at the rate of its first day: nobody knows of another price."""
    rate = RATES[business_day(row["started_at"])] if row["currency"] == "USD" else Fraction(1)
    value = Fraction(row["price"]) * row["quantity"] * YEARLY[row["billing_interval"]] * rate
    return Decimal(int(value * 100 / (12 * row["interval_count"]) + Fraction(1, 2))) / 100


def history(row: Row, as_of: date) -> list[tuple[datetime, str]]:
    """Since when it has been in which state, as far as the row tells."""
    status, start = row["today_status"], row["started_at"]
    said = row.get("updated_at")
    trial = row.get("trial_end")
    is_trial = trial is not None and trial > start
    charged = min(trial, max(instant(as_of), start)) if is_trial and trial else start
    told: list[tuple[datetime, str]] = [(start, "trialing" if is_trial else "active")]
    end = None
    if status in ENDS:
        dates = (row.get("ended_at"), row.get("cancel_at"), row.get("cancelled_at"), said, start)
        end = max(next(one for one in dates if one is not None), start)
        told.append((end, status))
    if is_trial and status != "trialing" and (end is None or end > trial):
        # converted at its end; earlier, if the row says today that it has been, and nothing else since when
        told.append((trial if status == "paused" else charged, "active"))
    if status == "past_due":  # not said since when: the first charge failed
        told.append((max(said or charged, start), "past_due"))
    if status == "paused":
        told.append((max(row.get("pause_start") or said or start, start), "paused"))
    told.sort(key=lambda one: one[0])
    last = {"past_due", "paused", *ENDS}
    until = next((at for at, state in told if state in last), None)
    return [one for one in told if until is None or one[0] < until or one[1] in last]


def expected(row: Row, as_of: date) -> dict[date, Close]:
    """State, MRR, paused MRR and whether inferred, at each close from the start on."""
    found: dict[date, Close] = {}
    began = business_day(row["started_at"])
    monthly, told, trial = amount(row), history(row, as_of), row.get("trial_end")
    for day in days_of(began, as_of):
        state = next(state for at, state in reversed(told) if business_day(at) <= day)
        earns = state in ("active", "past_due")
        # who paused on trial begins to pay when it would have ended
        rests = state == "paused" and (trial is None or business_day(max(trial, row["started_at"])) <= day)
        # from the first look on it is seen, if there is still something to look at
        is_seen = began == as_of or (day == as_of and row["today_status"] not in ENDS)
        found[day] = (state, monthly if earns else Decimal(0), monthly if rests else Decimal(0), not is_seen)
    return found


def forget(rng: random.Random, row: Row) -> Row:
    """Systems keep different columns; a date may be missing."""
    optional = ("updated_at", "pause_start", "ended_at", "cancelled_at", "cancel_at")
    return {**row, **{name: None for name in optional if rng.random() < 0.15}}


@settings(max_examples=many(40), deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 8), back=st.integers(0, 40))
def test_what_todays_row_tells_is_known_and_everything_before_today_is_marked_inferred(
    seed: int, size: int, back: int
) -> None:
    project, rng = Project.compile(), random.Random(seed)
    as_of = LAST - timedelta(days=back)
    logs = {f"s{n}": (rng.choice(["EUR", "USD"]), walk(rng, n)) for n in range(size)}
    rows: dict[str, Row] = {}
    for name, (currency, log) in logs.items():
        row = table_row(name, "customer-0", currency, log, as_of)
        if row is not None:
            if log[0].type == "trial_started":
                row["trial_end"] = log[0].effective  # kept by most systems after the trial
            row["updated_at"] = max(event.at for event in log if business_day(event.at) <= as_of)
            rows[name] = forget(rng, row)
    con = seen(project, {as_of: rows}, as_of)
    found = closes(project, con, days_of(START, as_of))
    wanted = {(name, day): close for name, row in rows.items() for day, close in expected(row, as_of).items()}
    for key in wanted | found:
        assert found.get(key) == wanted.get(key), (key, rows[key[0]])
    for name, row in rows.items():
        same_as_the_log(name, row, logs[name], found, as_of)
    assert project.query(con, "select * from intermediate.int_subscriptions__quarantined_events") == []


def same_as_the_log(
    name: str, row: Row, log: tuple[str, Any], found: Mapping[tuple[str, date], tuple[Any, ...]], as_of: date
) -> None:
    """What METRICS.md promises to be equal: today, the first day, the pause of today, the end."""
    currency, events = log
    told = machine(events, currency, as_of)
    intervals = told.intervals()
    state, mrr, paused = close_of(intervals, as_of)
    assert found[name, as_of][0] == state
    if currency == "EUR":  # in another currency the rate is that of a day that only the log knows
        assert found[name, as_of][1:3] == (mrr, paused)
    assert min(day for one, day in found if one == name) == business_day(intervals[0].start)
    dated = row.get("pause_start") if state == "paused" else row.get("ended_at") if state in ENDS else None
    if dated is not None:
        since = business_day(intervals[-1].start)
        while len(intervals) > 1 and intervals[-2].state == state:
            intervals.pop()
            since = business_day(intervals[-1].start)
        days = [day for one, day in found if one == name and found[one, day][0] == state]
        assert min(days) == since or since < min(day for one, day in found if one == name)
