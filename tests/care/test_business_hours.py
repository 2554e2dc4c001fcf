"""Business hours in SQL against plain Python that walks the days, in zones and weeks where the clocks change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support import Project
from tests.support.examples import many

AS_OF = date(2024, 4, 3)
EXAMPLES = settings(max_examples=many(25), deadline=None, suppress_health_check=list(HealthCheck))
# Berlin changes at 02:00 and 03:00, Santiago at midnight: a day begins at 01:00 there
ZONES = {"Europe/Berlin": datetime(2024, 3, 25), "America/Santiago": datetime(2024, 4, 1)}
TICKET = {
    "ticket_key": "varchar",
    "calendar": "varchar",
    "opened_at": "timestamp",
    "opened_date": "date",
    "first_response_at": "timestamp",
    "resolved_at": "timestamp",
    "as_of_closes_at": "timestamp",
    "first_response_target_minutes": "integer",
    "resolution_target_minutes": "integer",
}


@dataclass(frozen=True)
class Week:
    """Hours by weekday (1 to 7) in minutes after midnight, and closed dates."""

    hours: dict[int, tuple[int, int]]
    closed: frozenset[date] = frozenset()


def _instant(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    """Skipped wall times are as much later, repeated ones the later of the two; naive UTC."""
    wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
    late = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    early = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    skipped = early.astimezone(zone).replace(tzinfo=None) != wall
    return (early if skipped else late).replace(tzinfo=None)


def _local_date(instant: datetime, zone: ZoneInfo) -> date:
    return instant.replace(tzinfo=UTC).astimezone(zone).date()


def _open(day: date, week: Week, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    if day in week.closed or day.isoweekday() not in week.hours:
        return None
    opens, closes = week.hours[day.isoweekday()]
    return _instant(day, opens, zone), _instant(day, closes, zone)


def _elapsed(start: datetime, end: datetime, week: Week, zone: ZoneInfo) -> int:
    total, day = timedelta(), _local_date(start, zone)
    while day <= _local_date(end, zone):
        if hours := _open(day, week, zone):
            total += max(min(end, hours[1]) - max(start, hours[0]), timedelta())
        day += timedelta(days=1)
    return int(total.total_seconds())


def _due(start: datetime, seconds: int, week: Week, zone: ZoneInfo) -> datetime | None:
    left, day = timedelta(seconds=seconds), _local_date(start, zone)
    while day <= AS_OF + timedelta(days=30):
        if hours := _open(day, week, zone):
            begin = max(start, hours[0])
            room = max(hours[1] - begin, timedelta())
            if left <= room:
                return begin + left
            left -= room
        day += timedelta(days=1)
    return None


def _clocks(tickets: list[dict[str, Any]], week: Week, zone: str) -> dict[tuple[str, str], dict[str, Any]]:
    project = Project.compile(business_timezone=zone, support_deadline_days=30)
    con = project.connect({})
    project.give(con, "int_care__tickets", TICKET, tickets)
    hours = [
        {
            "calendar": "c",
            "weekday": day,
            "opens_at": f"{opens // 60:02}:{opens % 60:02}",
            "closes_at": f"{closes // 60:02}:{closes % 60:02}",
        }
        for day, (opens, closes) in week.hours.items()
    ]
    types = {"calendar": "varchar", "weekday": "integer", "opens_at": "varchar", "closes_at": "varchar"}
    project.give(con, "support_hours", types, hours)
    closed = [{"calendar": "c", "closed_on": day} for day in week.closed]
    project.give(con, "support_closed_days", {"calendar": "varchar", "closed_on": "date"}, closed)
    given_models = ("int_care__tickets", "support_hours", "support_closed_days")
    project.run(con, "int_care__clocks", as_of=AS_OF, given=given_models)
    rows = project.query(con, f"select * from {project.relation('int_care__clocks')}")
    assert len(rows) == 2 * len(tickets)
    return {(row["ticket_key"], row["clock"]): row for row in rows}


def _ticket(number: int, zone: str, opened: datetime, answered: datetime | None, target: int | None) -> dict[str, Any]:
    place = ZoneInfo(zone)
    return {
        "ticket_key": f"t{number}",
        "calendar": "c",
        "opened_at": opened,
        "opened_date": _local_date(opened, place),
        "first_response_at": answered,
        "resolved_at": None,
        "as_of_closes_at": _instant(AS_OF + timedelta(days=1), 0, place),
        "first_response_target_minutes": target,
        "resolution_target_minutes": None if target is None else target * 3,
    }


windows = st.sampled_from([(0, 1440), (540, 1020), (120, 180), (150, 600), (0, 30), (1380, 1440)])
weeks = st.builds(
    Week,
    st.dictionaries(st.integers(1, 7), windows, min_size=1),
    st.frozensets(st.dates(date(2024, 3, 25), date(2024, 4, 9)), max_size=3),
)
seconds = st.one_of(st.integers(0, 9 * 86400), st.integers(0, 9 * 24).map(lambda hours: hours * 3600))


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Week, list[dict[str, Any]]]:
    zone = draw(st.sampled_from(sorted(ZONES)))
    latest = _instant(AS_OF + timedelta(days=1), 0, ZoneInfo(zone)) - timedelta(seconds=1)
    tickets = []
    for number in range(draw(st.integers(1, 12))):
        opened = min(ZONES[zone] + timedelta(seconds=draw(seconds)), latest)
        wait = draw(st.one_of(st.none(), seconds))
        answered = None if wait is None else opened + timedelta(seconds=wait)
        target = draw(st.sampled_from([1, 30, 60, 480, 1440, 20000, None]))
        tickets.append(_ticket(number, zone, opened, answered if answered and answered <= latest else None, target))
    return zone, draw(weeks), tickets


@EXAMPLES
@given(cases())
@example(
    (
        "Europe/Berlin",
        Week(dict.fromkeys(range(1, 8), (0, 1440))),
        [_ticket(0, "Europe/Berlin", datetime(2024, 3, 31), datetime(2024, 4, 1), 1440)],
    )
)
def test_elapsed_time_deadline_and_breach_are_those_of_a_walk_over_the_days(case):
    zone, week, tickets = case
    rows = _clocks(tickets, week, zone)
    place = ZoneInfo(zone)
    for ticket in tickets:
        for clock, stopped, minutes in (
            ("first_response", ticket["first_response_at"], ticket["first_response_target_minutes"]),
            ("resolution", None, ticket["resolution_target_minutes"]),
        ):
            row = rows[ticket["ticket_key"], clock]
            elapsed = _elapsed(ticket["opened_at"], stopped or ticket["as_of_closes_at"], week, place)
            assert row["elapsed_seconds"] == elapsed
            due = None if minutes is None else _due(ticket["opened_at"], minutes * 60, week, place)
            assert row["due_at"] == due
            if minutes is None:
                assert row["is_breached"] is None
            else:
                late = elapsed > minutes * 60
                assert row["is_breached"] is (True if late else None if stopped is None else False)
                if due is not None and stopped is not None and late:
                    assert stopped > due


@pytest.mark.parametrize(
    ("opened", "answered", "minutes"),
    [
        # Saturday evening to Monday noon over the night the clocks go forward, 09:00 to 17:00 every day: 8 h and 3 h
        (datetime(2024, 3, 30, 20), datetime(2024, 4, 1, 10), 8 * 60 + 3 * 60),
        # within one second of closing
        (datetime(2024, 3, 29, 15, 59, 59), datetime(2024, 3, 29, 18), 1 / 60),
    ],
)
def test_hours_over_the_change_of_clocks_by_hand(opened, answered, minutes):
    week = Week(dict.fromkeys(range(1, 8), (540, 1020)))
    rows = _clocks([_ticket(0, "Europe/Berlin", opened, answered, 60)], week, "Europe/Berlin")
    assert rows["t0", "first_response"]["elapsed_seconds"] == round(minutes * 60)


def test_around_the_clock_the_day_the_clocks_go_forward_has_23_hours():
    week = Week(dict.fromkeys(range(1, 8), (0, 1440)))
    opened = _instant(date(2024, 3, 31), 0, ZoneInfo("Europe/Berlin"))
    answered = _instant(date(2024, 4, 1), 0, ZoneInfo("Europe/Berlin"))
    rows = _clocks([_ticket(0, "Europe/Berlin", opened, answered, 60)], week, "Europe/Berlin")
    assert rows["t0", "first_response"]["elapsed_seconds"] == 23 * 3600
