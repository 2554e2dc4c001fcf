"""Experiments: what campaigns caused, against their holdouts, and whether the arms were filled by chance."""

from __future__ import annotations

import altair as alt

from ritorno.report import charts
from ritorno.report.figures import Attention, Column, Dataset, Figure, Page, Section, Spec
from ritorno.report.marts import Marts

NEWEST = 30
"""Campaigns that are drawn; the mart has them all."""

_OF_ARMS = f"""
    with newest as (
        select campaign_key from marts.campaign_results group by campaign_key
        order by max(started_at) desc nulls last, campaign_key limit {NEWEST}
    )
    select coalesce(campaign_name, campaign_id) || ' · ' || replace(arm, '_', ' ') as label,
        replace(status, '_', ' ') as status, assigned,
"""
"""How a query of arms begins, and how it ends: the same arms, in the same order, on every chart."""
_OF_NEWEST = """
    from marts.campaign_results inner join newest using (campaign_key) where arm_role <> 'holdout'
    order by started_at desc nulls last, campaign_key, arm_role desc, arm
"""

EFFECTS = Dataset(
    "effects",
    ("campaign_results",),
    f"""
    {_OF_ARMS} converters, conversion, conversion_difference_low as low,
        conversion_difference as effect, conversion_difference_high as high, conversion_p_value as p_value,
        probability_beats_holdout, is_sample_ratio_alarm, window_end_date, verdict
    {_OF_NEWEST}
    """,
    (
        Column("label", "Campaign · arm"),
        Column("status", "Status"),
        Column("assigned", "People analysed", "int"),
        Column("converters", "Of them ordered", "int"),
        Column("conversion", "Conversion", "percent"),
        Column("low", "Interval, from", "percent"),
        Column("effect", "Difference to the holdout", "percent"),
        Column("high", "to", "percent"),
        Column("p_value", "p", "number"),
        Column("probability_beats_holdout", "Probability that it beats the holdout", "percent"),
        Column("is_sample_ratio_alarm", "Sample-ratio alarm", "yes_no"),
        Column("window_end_date", "Orders count to", "date"),
        Column("verdict", "In words"),
    ),
)

SPEND = Dataset(
    "spend",
    ("campaign_results",),
    f"""
    {_OF_ARMS} spend_per_head, spend_difference_low as low,
        spend_difference as effect, spend_difference_high as high,
        cuped_spend_difference, incremental_revenue_low, incremental_revenue, incremental_revenue_high
    {_OF_NEWEST}
    """,
    (
        Column("label", "Campaign · arm"),
        Column("status", "Status"),
        Column("assigned", "People analysed", "int"),
        Column("spend_per_head", "Spend per head", "money"),
        Column("low", "Interval, from", "money"),
        Column("effect", "Difference to the holdout, per head", "money"),
        Column("high", "to", "money"),
        Column("cuped_spend_difference", "The same by CUPED", "money"),
        Column("incremental_revenue_low", "Incremental revenue, from", "money"),
        Column("incremental_revenue", "Incremental revenue", "money"),
        Column("incremental_revenue_high", "to", "money"),
    ),
)

RATIOS = Dataset(
    "ratios",
    ("campaign_results",),
    f"""
    with newest as (
        select campaign_key from marts.campaign_results group by campaign_key
        order by max(started_at) desc nulls last, campaign_key limit {NEWEST}
    )
    select coalesce(campaign_name, campaign_id) as campaign, replace(arm, '_', ' ') as arm, assigned,
        cast(assigned as double) / nullif(sum(assigned) over (partition by campaign_key), 0) as actual_share,
        planned_share,
        sample_ratio_p_value, is_sample_ratio_alarm, contaminated_customers, overlapping_customers
    from marts.campaign_results inner join newest using (campaign_key) where arm_role <> 'all_variants'
    order by is_sample_ratio_alarm desc nulls last, started_at desc nulls last, campaign_key, arm
    """,
    (
        Column("campaign", "Campaign"),
        Column("arm", "Arm"),
        Column("assigned", "People analysed", "int"),
        Column("actual_share", "Share", "percent"),
        Column("planned_share", "Planned share", "percent"),
        Column("sample_ratio_p_value", "p of the sample ratio", "number"),
        Column("is_sample_ratio_alarm", "Alarm", "yes_no"),
        Column("contaminated_customers", "People in more than one arm", "int"),
        Column("overlapping_customers", "People in another campaign, too", "int"),
    ),
)

ATTRIBUTION = Dataset(
    "attribution",
    ("campaign_attribution",),
    f"""
    select coalesce(campaign_name, campaign_key) as campaign, attributed_orders, attributed_revenue,
        incremental_revenue_low, incremental_revenue, incremental_revenue_high,
        replace(incremental_status, '_', ' ') as incremental_status
    from marts.campaign_attribution where period_type = 'overall' and channel = 'all'
    order by attributed_revenue desc, campaign_key limit {NEWEST}
    """,
    (
        Column("campaign", "Campaign"),
        Column("attributed_orders", "Orders credited", "int"),
        Column("attributed_revenue", "Revenue credited to the last touch", "money"),
        Column("incremental_revenue_low", "Caused, from", "money"),
        Column("incremental_revenue", "Revenue caused", "money"),
        Column("incremental_revenue_high", "to", "money"),
        Column("incremental_status", "Why there is a figure, or none"),
    ),
)


def interval(dataset: Dataset) -> Spec:
    """A dot with its interval, a line where there is no difference."""
    names = tuple(column.name for column in dataset.columns if column.name != "verdict")
    kind = dataset.column("effect").kind
    down = alt.Y("label:N", title=None, sort=None, axis=alt.Axis(grid=False, domain=False, labelLimit=230))
    across = alt.X(
        "low:Q",
        title=dataset.column("effect").label,
        axis=alt.Axis(
            labelExpr="format(datum.value, '+.1%')" if kind == "percent" else charts.label(kind), tickCount=6
        ),
        scale=alt.Scale(zero=True),
    )
    base = alt.Chart(charts.ROWS).encode(y=down, tooltip=charts.tooltip(dataset, names))
    sign = alt.Color(
        "sign:N",
        title=None,
        sort=["better than the holdout", "not decided", "worse than the holdout"],
        scale=alt.Scale(
            domain=["better than the holdout", "not decided", "worse than the holdout"],
            range=["@plus", "@grey", "@minus"],
        ),
    )
    base = base.transform_calculate(
        sign="datum.low > 0 ? 'better than the holdout' : datum.high < 0 ? 'worse than the holdout' : 'not decided'"
    ).transform_filter("isValid(datum.effect)")
    bars = base.mark_rule(strokeWidth=3).encode(x=across, x2="high", color=sign)
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(x="effect:Q", color=sign)
    zero = alt.Chart(charts.ROWS).mark_rule(color="@control", strokeDash=[4, 3]).encode(x=alt.datum(0))
    return charts.stepped(alt.layer(bars, dots, zero), 30)


def attention(marts: Marts) -> list[Attention]:
    """Arms that chance did not fill: whatever the campaign shows, it can't be believed."""
    row = marts.row(
        "select count(distinct campaign_key) from marts.campaign_results where is_sample_ratio_alarm",
        "campaign_results",
    )
    if not row or not row[0]:
        return []
    many = "campaign has arms" if row[0] == 1 else "campaigns have arms"
    return [
        Attention(
            "alarm", f"{row[0]:,} {many} that chance did not fill (sample-ratio alarm).", "experiments", "sample_ratio"
        )
    ]


def page(marts: Marts) -> Page:
    """The page."""
    del marts
    none = "There is no campaign with recorded assignments yet."
    return Page(
        "experiments",
        "Experiments",
        "Did the campaign cause anything, at least and at most how much, and were the arms filled by chance?",
        (
            Section(
                "Effects",
                (
                    Figure(
                        "conversion_effect",
                        "Effect on conversion: difference to the holdout, with its interval",
                        "effects",
                        interval(EFFECTS),
                        EFFECTS.names,
                        ("campaign_results.conversion_difference", "campaign_results.status"),
                        "An interval across the dashed line decides nothing. Who was assigned counts, reached or not.",
                        wide=True,
                        min_width=620,
                        empty=none,
                    ),
                    Figure(
                        "spend_effect",
                        "Effect on spend per head: difference to the holdout, with its interval",
                        "spend",
                        interval(SPEND),
                        SPEND.names,
                        ("campaign_results.spend_difference", "campaign_results.incremental_revenue"),
                        "",
                        wide=True,
                        min_width=620,
                        empty=none,
                    ),
                ),
                f"The newest {NEWEST} campaigns.",
            ),
            Section(
                "Can they be believed?",
                (
                    Figure(
                        "sample_ratio",
                        "Sample ratio: were the arms filled as planned?",
                        "ratios",
                        None,
                        RATIOS.names,
                        ("campaign_results.sample_ratio_chi_square", "campaign_results.is_sample_ratio_alarm"),
                        wide=True,
                        empty=none,
                    ),
                ),
            ),
            Section(
                "Credit and cause",
                (
                    Figure(
                        "attribution",
                        "Revenue credited to the last touch, beside what the campaign caused",
                        "attribution",
                        charts.lying_bars(
                            ATTRIBUTION,
                            "campaign",
                            "attributed_revenue",
                            tooltips=ATTRIBUTION.names,
                            token="grey",
                        ),
                        ATTRIBUTION.names,
                        ("campaign_attribution.attributed_orders", "campaign_attribution.incremental_revenue"),
                        "Credit is no cause: customers who would have bought anyway are credited, too.",
                        wide=True,
                        empty="No order has been credited to a campaign yet.",
                    ),
                ),
            ),
        ),
        (EFFECTS, SPEND, RATIOS, ATTRIBUTION),
        (),
    )
