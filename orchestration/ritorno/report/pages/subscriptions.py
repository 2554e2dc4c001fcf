"""Subscriptions: what recurs, what was paused, what comes back."""

from __future__ import annotations

from typing import Literal

import altair as alt

from ritorno.report import charts
from ritorno.report.figures import Column, Dataset, Figure, Filter, KeyNumber, Page, Section, Spec
from ritorno.report.marts import Marts
from ritorno.report.numbers import relative_change

_STEPS = ("opening", "new", "reactivation", "resume", "expansion", "contraction", "pause", "churn", "closing")

BRIDGE = Dataset(
    "bridge",
    ("mrr_monthly",),
    f"""
    with months as (
        select * from marts.mrr_monthly where month > (select max(month) from marts.mrr_monthly) - interval 12 month
    ),
    steps as (
        {
        " union all ".join(
            f"select month, is_complete, {place} as place, '{step}' as step, {step} as amount from months"
            for place, step in enumerate(_STEPS)
        )
    }
    ),
    running as (
        select *, sum(case when step = 'closing' then 0 else amount end)
            over (partition by month order by place rows unbounded preceding) as level
        from steps
    )
    select strftime(month, '%Y-%m') as month, step, amount,
        case when step in ('opening', 'closing') then 0 else level - amount end as from_level,
        case when step = 'closing' then amount else level end as to_level,
        case when step in ('opening', 'closing') then 'level' when amount < 0 then 'less' else 'more' end as direction,
        is_complete
    from running order by month desc, place
    """,
    (
        Column("month", "Month"),
        Column("step", "Movement"),
        Column("amount", "Amount", "money"),
        Column("from_level", "From", "money"),
        Column("to_level", "To", "money"),
        Column("direction", "Direction"),
        Column("is_complete", "Month over", "yes_no"),
    ),
)

MRR = Dataset(
    "mrr",
    ("mrr_monthly",),
    """
    with months as (
        select month, closing, paused_closing, is_complete from marts.mrr_monthly
        where month > $as_of - interval 37 month
    )
    select month, 'active' as account, closing as amount, is_complete from months
    union all
    select month, 'paused', paused_closing, is_complete from months
    order by account, month
    """,
    (
        Column("month", "Month", "month"),
        Column("account", "MRR"),
        Column("amount", "At the close", "money"),
        Column("is_complete", "Month over", "yes_no"),
    ),
)

PAUSES = Dataset(
    "pauses",
    ("mrr_monthly",),
    """
    with months as (select * from marts.mrr_monthly where month > $as_of - interval 25 month),
    flows as (
        select month, 'went into pause' as flow, paused_in as amount, is_complete from months
        union all
        select month, 'resumed', -resumed, is_complete from months
        union all
        select month, 'ended while paused', -paused_churn, is_complete from months
    )
    select month, flow, amount, is_complete from flows order by month, flow
    """,
    (
        Column("month", "Month", "month"),
        Column("flow", "Flow"),
        Column("amount", "MRR", "money"),
        Column("is_complete", "Month over", "yes_no"),
    ),
)

RETENTION = Dataset(
    "revenue_retention",
    ("mrr_monthly",),
    """
    with months as (select * from marts.mrr_monthly where is_complete and month > $as_of - interval 25 month)
    select month, 'net (NRR)' as rate, nrr as value, nrr_ex_pause as value_ex_pause from months
    union all
    select month, 'gross (GRR)', grr, grr_ex_pause from months
    order by rate, month
    """,
    (
        Column("month", "Month", "month"),
        Column("rate", "Retention"),
        Column("value", "Pauses count as loss", "percent"),
        Column("value_ex_pause", "Pauses don't", "percent"),
    ),
)

SURVIVAL = Dataset(
    "survival",
    ("survival",),
    """
    with curves as (
        select case curve
                when 'subscription_lifetime' then 'Subscription lifetime'
                when 'subscription_lifetime_by_plan' then 'Subscription lifetime, by plan'
                when 'subscription_lifetime_by_cohort' then 'Subscription lifetime, by cohort'
                when 'subscription_lifetime_by_ever_paused' then 'Subscription lifetime, by ever paused'
                when 'pause_to_resume' then 'Pause until it is resumed'
            end as curve_label, curve, cut_value, t_days, at_risk, events, survival, ci_low, ci_high, median_days,
            max(at_risk) over (partition by curve, cut_value) as begun,
            greatest(cast(ceil(max(t_days) over (partition by curve) / 180.0) as integer), 1) as width
        from marts.survival where curve <> 'second_order_day'
    ),
    largest as (
        select * from curves where curve_label is not null
        qualify dense_rank() over (partition by curve order by begun desc, cut_value) <= 8
    )
    select curve_label, cut_value, t_days, at_risk, events, survival, ci_low, ci_high, median_days
    from largest
    qualify row_number() over (partition by curve, cut_value, t_days // width order by t_days desc) = 1
    order by curve = 'pause_to_resume', curve, cut_value, t_days
    """,
    (
        Column("curve_label", "Curve"),
        Column("cut_value", "Group"),
        Column("t_days", "Days", "int"),
        Column("at_risk", "Watched that long", "int"),
        Column("events", "Events that day", "int"),
        Column("survival", "Share without the event", "percent"),
        Column("ci_low", "95 % band, from", "percent"),
        Column("ci_high", "to", "percent"),
        Column("median_days", "Median days", "int"),
    ),
)

OUTCOMES = Dataset(
    "outcomes",
    ("pause_outcomes",),
    """
    select case cut when 'all' then 'All pauses' else upper(left(cut, 1)) || replace(substr(cut, 2), '_', ' ') end
            as cut,
        replace(cut_value, '_', ' ') as cut_value, pauses, outcome, subscriptions, resume_rate, mean_days_to_resume
    from marts.pause_outcomes
    cross join lateral (values ('resumed', resumed), ('ended while paused', lost), ('still paused', still_paused))
        as outcomes (outcome, subscriptions)
    qualify dense_rank() over (partition by pause_outcomes.cut order by pauses desc, cut_value) <= 12
    order by cut <> 'All pauses', cut, pauses desc, cut_value, outcome
    """,
    (
        Column("cut", "Cut"),
        Column("cut_value", "Value"),
        Column("pauses", "Pauses", "int"),
        Column("outcome", "Outcome"),
        Column("subscriptions", "Pauses that way", "int"),
        Column("resume_rate", "Resume rate", "percent"),
        Column("mean_days_to_resume", "Mean days to resume", "number"),
    ),
)

DUE = Dataset(
    "due",
    ("subscription_pauses",),
    """
    select expected_resume_date as day, count(*) as subscriptions, sum(mrr_at_pause) as mrr
    from marts.subscription_pauses
    where outcome = 'paused' and expected_resume_date between $as_of and $as_of + 60
    group by 1 order by 1
    """,
    (
        Column("day", "Day", "date"),
        Column("subscriptions", "Pauses due to end", "int"),
        Column("mrr", "MRR that returns", "money"),
    ),
)

STATES = Dataset(
    "states",
    ("subscriptions",),
    """
    with live as (
        select replace(state, '_', ' ') as state, coalesce(plan, 'no plan') as plan, mrr, paused_mrr
        from marts.subscriptions where is_live
    ),
    largest as (select plan from live group by plan order by count(*) desc, plan limit 15)
    select state, plan, count(*) as subscriptions, sum(mrr) as mrr, sum(paused_mrr) as paused_mrr
    from live inner join largest using (plan) group by state, plan
    order by subscriptions desc, plan, state
    """,
    (
        Column("state", "State"),
        Column("plan", "Plan"),
        Column("subscriptions", "Subscriptions", "int"),
        Column("mrr", "MRR", "money"),
        Column("paused_mrr", "Paused MRR", "money"),
    ),
)


def bridge() -> Spec:
    """Opening, what came and went, closing."""
    base = alt.Chart(charts.ROWS).encode(
        x=alt.X("step:N", sort=list(_STEPS), title=None, axis=alt.Axis(labelAngle=0, grid=False, labelOverlap=False)),
        tooltip=charts.tooltip(BRIDGE, ("month", "step", "amount", "from_level", "to_level")),
    )
    boxes = base.mark_bar(cornerRadius=2).encode(
        y=charts.amount(BRIDGE.column("from_level"), title="MRR"),
        y2="to_level",
        color=charts.hue("direction", None, ("level", "more", "less"), ("grey", "plus", "minus")),
    )
    words = (
        base.transform_calculate(top="max(datum.from_level, datum.to_level)")
        .mark_text(dy=-7, fontSize=11.5, color="@text")
        .encode(y=alt.Y("top:Q", title="MRR"), text=alt.Text("amount:Q", format="$,.0f"))
    )
    return charts.spec(boxes + words, charts.TALL)


def _numbers(marts: Marts) -> tuple[KeyNumber, ...]:
    months = marts.rows(
        "select month, opening, closing, paused_closing, nrr, grr, logo_churn_ex_pause, customers_closing, "
        "customers_opening, is_complete from marts.mrr_monthly order by month desc limit 13",
        "mrr_monthly",
    )
    if not months:
        return ()
    now = months[0]
    whole = [month for month in months if month[9]]
    past = tuple(float(month[2]) for month in reversed(months))
    numbers = [
        KeyNumber(
            "mrr",
            "MRR",
            now[2],
            "money",
            relative_change(now[2], now[1]),
            compared="since the month began",
            good="up",
            spark=past,
            definition=marts.definition("subscriptions.mrr"),
        ),
        KeyNumber(
            "paused_mrr",
            "Paused MRR",
            now[3],
            "money",
            definition=marts.definition("subscriptions.paused_mrr"),
            spark=tuple(float(month[3]) for month in reversed(months)),
        ),
        KeyNumber(
            "accounts",
            "Accounts with MRR",
            now[7],
            "int",
            float(now[7] - now[8]),
            "difference",
            "since the month began",
            "up",
            tuple(float(month[7]) for month in reversed(months)),
        ),
    ]
    if whole:
        last, before = whole[0], whole[1] if len(whole) > 1 else None
        shown: tuple[tuple[int, str, str, Literal["up", "down"]], ...] = (
            (4, "nrr", "Net revenue retention", "up"),
            (6, "logo_churn_ex_pause", "Logo churn, pauses apart", "down"),
        )
        for place, key, label, good in shown:
            change = (
                None if before is None or before[place] is None or last[place] is None else last[place] - before[place]
            )
            numbers.append(
                KeyNumber(
                    key,
                    label,
                    last[place],
                    "percent",
                    change,
                    "points",
                    f"{last[0]:%B %Y}, against the month before",
                    good,
                    tuple(month[place] for month in reversed(whole)),
                    marts.definition(f"mrr_monthly.{key}"),
                )
            )
    return tuple(numbers)


def page(marts: Marts) -> Page:
    """The page."""
    return Page(
        "subscriptions",
        "Subscriptions",
        "What recurs every month, where did it come from and go to, who paused, and who is due to resume?",
        (
            Section(
                "Monthly recurring revenue",
                (
                    Figure(
                        "bridge",
                        "MRR bridge: from the month's opening to its closing",
                        "bridge",
                        bridge(),
                        ("month", "step", "amount", "from_level", "to_level", "is_complete"),
                        ("subscriptions.mrr", "mrr_movements.movement"),
                        "Pauses are an account of their own: they are no churn.",
                        ("month",),
                        min_width=640,
                        wide=True,
                    ),
                    Figure(
                        "mrr_by_month",
                        "MRR at the close of each month, active and paused",
                        "mrr",
                        charts.bars(
                            MRR,
                            "month",
                            "amount",
                            series="account",
                            domain=("active", "paused"),
                            tokens=("blue", "gold"),
                            tooltips=("month", "account", "amount", "is_complete"),
                        ),
                        ("month", "account", "amount", "is_complete"),
                        ("mrr_monthly.closing", "mrr_monthly.paused_closing"),
                    ),
                    Figure(
                        "revenue_retention",
                        "Net and gross revenue retention, pauses counting as loss",
                        "revenue_retention",
                        charts.lines(
                            RETENTION,
                            "month",
                            "value",
                            "rate",
                            tooltips=("month", "rate", "value", "value_ex_pause"),
                            zero=False,
                        ),
                        ("month", "rate", "value", "value_ex_pause"),
                        ("mrr_monthly.nrr", "mrr_monthly.grr", "mrr_monthly.nrr_ex_pause"),
                        "Finished months.",
                    ),
                    Figure(
                        "live",
                        "Live subscriptions by plan and state (the 15 largest plans)",
                        "states",
                        charts.lying_bars(
                            STATES,
                            "plan",
                            "subscriptions",
                            series="state",
                            domain=("active", "trialing", "past due", "paused"),
                            tokens=("blue", "sky", "orange", "gold"),
                            tooltips=("plan", "state", "subscriptions", "mrr", "paused_mrr"),
                        ),
                        ("plan", "state", "subscriptions", "mrr", "paused_mrr"),
                        ("subscriptions.state",),
                        wide=True,
                    ),
                ),
            ),
            Section(
                "Pauses",
                (
                    Figure(
                        "pause_flow",
                        "Pause and resume flow: MRR that went into pauses and what became of it",
                        "pauses",
                        charts.bars(
                            PAUSES,
                            "month",
                            "amount",
                            series="flow",
                            domain=("went into pause", "resumed", "ended while paused"),
                            tokens=("gold", "blue", "orange"),
                            tooltips=("month", "flow", "amount"),
                        ),
                        ("month", "flow", "amount", "is_complete"),
                        ("mrr_monthly.paused_in", "mrr_monthly.resumed", "mrr_monthly.paused_churn"),
                        "Up: into pauses. Down: out of them.",
                    ),
                    Figure(
                        "due_to_resume",
                        "Due to resume: pauses that end by themselves in the next 60 days",
                        "due",
                        charts.bars(
                            DUE, "day", "subscriptions", tooltips=("day", "subscriptions", "mrr"), token="green"
                        ),
                        ("day", "subscriptions", "mrr"),
                        ("subscription_pauses.expected_resume_date", "subscription_pauses.mrr_at_pause"),
                        empty="No pause is due to end in the next 60 days.",
                    ),
                    Figure(
                        "pause_outcomes",
                        "How pauses ended (of a cut the 12 most frequent values)",
                        "outcomes",
                        charts.lying_bars(
                            OUTCOMES,
                            "cut_value",
                            "subscriptions",
                            series="outcome",
                            domain=("resumed", "still paused", "ended while paused"),
                            tokens=("blue", "gold", "orange"),
                            tooltips=(
                                "cut_value",
                                "outcome",
                                "subscriptions",
                                "pauses",
                                "resume_rate",
                                "mean_days_to_resume",
                            ),
                        ),
                        (
                            "cut",
                            "cut_value",
                            "pauses",
                            "outcome",
                            "subscriptions",
                            "resume_rate",
                            "mean_days_to_resume",
                        ),
                        ("pause_outcomes.resume_rate", "pause_outcomes.lost"),
                        "",
                        ("cut",),
                        wide=True,
                    ),
                ),
            ),
            Section(
                "Survival",
                (
                    Figure(
                        "survival",
                        "Survival: share of subscriptions, or pauses, that are still going",
                        "survival",
                        charts.band(
                            SURVIVAL,
                            "t_days",
                            "survival",
                            "ci_low",
                            "ci_high",
                            "cut_value",
                            tooltips=("cut_value", "t_days", "survival", "ci_low", "ci_high", "at_risk", "median_days"),
                            x_title="Days",
                        ),
                        ("cut_value", "t_days", "at_risk", "events", "survival", "ci_low", "ci_high", "median_days"),
                        ("survival.curve", "survival.survival", "survival.ci_low"),
                        "Of a cut the 8 largest groups; of a long curve 180 points, each as it is that day.",
                        ("curve",),
                        wide=True,
                    ),
                ),
            ),
        ),
        (BRIDGE, MRR, PAUSES, RETENTION, SURVIVAL, OUTCOMES, DUE, STATES),
        (
            Filter("month", "Month of the bridge", "bridge", "month"),
            Filter("cut", "Pauses by", "outcomes", "cut"),
            Filter("curve", "Survival", "survival", "curve_label"),
        ),
        _numbers(marts),
    )
