"""Segments and audiences: how large they are, what was published, who was left out and why."""

from __future__ import annotations

from ritorno.report import charts
from ritorno.report.figures import Attention, Column, Dataset, Figure, Filter, Page, Section
from ritorno.report.marts import Marts

SIZES = Dataset(
    "sizes",
    ("segment_sizes",),
    """
    select replace(segment, '_', ' ') as segment, date, opening, "entered" as entered, left_members, merged, size,
        eligible, in_grace, share
    from marts.segment_sizes where date > $as_of - 181 order by segment, date
    """,
    (
        Column("segment", "Segment"),
        Column("date", "Day", "date"),
        Column("opening", "Opening", "int"),
        Column("entered", "Entered", "int"),
        Column("left_members", "Left", "int"),
        Column("merged", "Became one", "int"),
        Column("size", "Members", "int"),
        Column("eligible", "Definition holds", "int"),
        Column("in_grace", "Kept by grace", "int"),
        Column("share", "Share of all people", "percent"),
    ),
)

NOW = Dataset(
    "now",
    ("segment_sizes",),
    """
    select replace(segment, '_', ' ') as segment, date, size, "entered" as entered, left_members, in_grace, share
    from marts.segment_sizes
    qualify row_number() over (partition by segment order by date desc) = 1
    order by size desc, segment
    """,
    (
        Column("segment", "Segment"),
        Column("date", "Day", "date"),
        Column("size", "Members", "int"),
        Column("entered", "Entered that day", "int"),
        Column("left_members", "Left that day", "int"),
        Column("in_grace", "Kept by grace", "int"),
        Column("share", "Share of all people", "percent"),
    ),
)

RUNS = Dataset(
    "runs",
    ("audience_runs",),
    """
    select replace(audience, '_', ' ') as audience, started_at, replace(status, '_', ' ') as status, members, wanted,
        to_add, to_update, to_remove, acknowledged, refused, "unknown" as unanswered, not_sent, reason
    from marts.audience_runs
    qualify row_number() over (partition by audience order by started_at desc, run_id desc) = 1
    order by status = 'done', audience
    """,
    (
        Column("audience", "Audience"),
        Column("started_at", "Last publish (UTC)"),
        Column("status", "Status"),
        Column("members", "In the segment", "int"),
        Column("wanted", "To be held", "int"),
        Column("to_add", "Added", "int"),
        Column("to_update", "Updated", "int"),
        Column("to_remove", "Removed", "int"),
        Column("acknowledged", "Acknowledged", "int"),
        Column("refused", "Refused", "int"),
        Column("unanswered", "Unanswered", "int"),
        Column("not_sent", "Not sent", "int"),
        Column("reason", "Why it was held, or is incomplete"),
    ),
)

WATERFALL = Dataset(
    "waterfall",
    ("audience_runs", "audience_exclusions"),
    """
    with last as (
        select audience, run_id, members, wanted from marts.audience_runs
        qualify row_number() over (partition by audience order by started_at desc, run_id desc) = 1
    ),
    steps as (
        select audience, 0 as place, 'in the segment' as step, '' as detail, members as customers, 'kept' as kind
        from last
        union all
        select e.audience, e.position, replace(e.reason, '_', ' '), replace(coalesce(e.detail, ''), '_', ' '),
            -e.customers, 'left out'
        from marts.audience_exclusions as e inner join last using (audience, run_id)
        union all
        select audience, 100000, 'to be held', '', wanted, 'kept' from last
    )
    select replace(audience, '_', ' ') as audience, place, step, detail, abs(sum(customers)) as customers, kind,
        case when kind = 'kept' then 0
            else sum(case when place < 100000 then sum(customers) else 0 end)
                over (partition by audience order by place, step, detail rows unbounded preceding)
        end as from_level
    from steps group by audience, place, step, detail, kind order by audience, place, step, detail
    """,
    (
        Column("audience", "Audience"),
        Column("place", "Place", "int"),
        Column("step", "Step"),
        Column("detail", "Which form of it"),
        Column("customers", "Customers", "int"),
        Column("kind", "What"),
        Column("from_level", "Left after it", "int"),
    ),
)

DRIFT = Dataset(
    "drift",
    ("audience_drift",),
    """
    select replace(audience, '_', ' ') as audience, kind, members, read_at from marts.audience_drift
    qualify dense_rank() over (partition by audience order by read_at desc) = 1
    order by audience, kind
    """,
    (
        Column("audience", "Audience"),
        Column("kind", "Difference"),
        Column("members", "Members", "int"),
        Column("read_at", "Read back (UTC)"),
    ),
)


def attention(marts: Marts) -> list[Attention]:
    """Audiences that were held back, or left something open."""
    if not marts.has("audience_runs"):
        return []
    row = marts.row(
        """
        select count(*) filter (where status = 'held'), count(*) filter (where status in ('incomplete', 'sending'))
        from (
            select status from marts.audience_runs
            qualify row_number() over (partition by audience order by started_at desc, run_id desc) = 1
        )
        """,
        "audience_runs",
    )
    found = []
    if row and row[0]:
        word = "audience was" if row[0] == 1 else "audiences were"
        found.append(Attention("alarm", f"{row[0]:,} {word} held back by a guard.", "audiences", "last_publish"))
    if row and row[1]:
        word = "audience has" if row[1] == 1 else "audiences have"
        found.append(Attention("warning", f"{row[1]:,} {word} something unanswered.", "audiences", "last_publish"))
    return found


def page(marts: Marts) -> Page:
    """The page."""
    del marts
    return Page(
        "audiences",
        "Segments and audiences",
        "How large are the segments, what was handed over last, and who was left out, and why?",
        (
            Section(
                "Segments",
                (
                    Figure(
                        "segment_now",
                        "Members of each segment, at its last run",
                        "now",
                        charts.lying_bars(NOW, "segment", "size", tooltips=NOW.names),
                        NOW.names,
                        ("segment_sizes.size", "segment_sizes.in_grace"),
                        empty="No segment has been written yet.",
                    ),
                    Figure(
                        "segment_trend",
                        "Members over time",
                        "sizes",
                        charts.lines(SIZES, "date", "size", None, tooltips=SIZES.names),
                        SIZES.names,
                        ("segment_sizes.size", "segment_sizes.date"),
                        "Opening + entered − left − became one = members.",
                        ("segment",),
                        empty="No segment has been written yet.",
                    ),
                ),
            ),
            Section(
                "Audiences",
                (
                    Figure(
                        "last_publish",
                        "What was handed over last",
                        "runs",
                        None,
                        RUNS.names,
                        ("audience_runs.status",),
                        "As of the send before this refresh.",
                        wide=True,
                        empty="Nothing has been published to an audience yet.",
                    ),
                    Figure(
                        "waterfall",
                        "From the segment to those who are handed over: who was left out, by first reason",
                        "waterfall",
                        charts.lying_bars(
                            WATERFALL,
                            "step",
                            "customers",
                            series="kind",
                            domain=("kept", "left out"),
                            tokens=("blue", "orange"),
                            tooltips=("step", "detail", "customers"),
                        ),
                        ("step", "detail", "customers", "from_level"),
                        ("audience_exclusions.reason",),
                        "",
                        ("audience",),
                        wide=True,
                        empty="Nothing has been published to an audience yet.",
                    ),
                    Figure(
                        "drift",
                        "Drift: what the destination shows against what it acknowledged",
                        "drift",
                        charts.lying_bars(
                            DRIFT,
                            "audience",
                            "members",
                            series="kind",
                            domain=("matching", "missing", "lingering", "foreign"),
                            tokens=("blue", "orange", "gold", "grey"),
                            tooltips=DRIFT.names,
                        ),
                        DRIFT.names,
                        ("audience_drift.kind",),
                        wide=True,
                        empty="No destination has been read back yet.",
                    ),
                ),
            ),
        ),
        (SIZES, NOW, RUNS, WATERFALL, DRIFT),
        (
            Filter("segment", "Segment", "sizes", "segment"),
            Filter("audience", "Audience", "waterfall", "audience"),
        ),
    )
