"""Every metric, asked through MetricFlow, says what its mart says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import duckdb
import pytest

from ritorno.home import PROJECT_ROOT
from tests.metrics.flow import Metrics
from tests.support import Project

MONTH = "metric_time__month"


@dataclass(frozen=True)
class Case:
    """Metrics by what they are grouped by, and the query on the mart that must give the same: keys first."""

    metrics: tuple[str, ...]
    by: tuple[str, ...]
    mart: str


def _rates(suffix: str, period: str, cuts: bool = False) -> Case:
    names = (
        "customers_start",
        "customers_retained",
        "customers_lost",
        "period_buyers",
        "period_repeat_buyers",
        "retention_rate",
        "churn_rate",
        "repeat_share",
    )
    keys = ", cut, cut_value" if cuts else ""
    by = ("retention_period__cut", "retention_period__cut_value") if cuts else ()
    return Case(
        tuple(name + suffix for name in names),
        (f"metric_time__{period}", *by),
        f"""select period_start{keys}, customers_start, retained, lost, buying_customers, repeat_customers,
            retention_rate, churn_rate, repeat_share
        from marts.retention_rates
        where period_type = '{period}' and cut {"<>" if cuts else "="} 'all' and is_complete""",
    )


def _cohorts(suffix: str, where: str, cuts: bool = False) -> Case:
    names = (
        "cohort_eligible",
        "cohort_active",
        "cohort_revenue",
        "cohort_retention",
        "cohort_revenue_per_customer",
    )
    keys = ", cut, cut_value" if cuts else ""
    by = ("cohort_cell__cohort_cut", "cohort_cell__cohort_cut_value") if cuts else ()
    return Case(
        tuple(name + suffix for name in names),
        (MONTH, "cohort_cell__period", *by),
        f"""select cohort_month, period{keys}, eligible_customers, active_customers, eligible_cumulative_net_revenue,
            retention, cumulative_revenue_per_customer
        from marts.cohort_retention where {where}""",
    )


def _nps(suffix: str, scale: str) -> list[Case]:
    def case(names: tuple[str, ...], period: str) -> Case:
        return Case(
            tuple(name + suffix for name in names),
            (MONTH, "nps_period__survey"),
            f"""select cast(date_trunc('month', period_end) as date), survey, promoters - detractors, responses, nps
            from marts.nps where period_type = '{period}' and cut = 'all' and scale = '{scale}' and is_complete""",
        )

    month = case(("nps_promoters_less_detractors", "nps_respondents", "nps"), "month")
    windows = ("nps_trailing_90d_balance", "nps_trailing_90d_respondents", "nps_trailing_90d")
    return [month, case(windows, "trailing_90d")]


CASES = {
    "orders": Case(
        ("orders", "net_revenue", "refunded", "new_buyers"),
        (MONTH,),
        """select order_month, count(*), sum(net_revenue), sum(refunded), count(*) filter (where is_first_order)
        from marts.orders group by all""",
    ),
    "order averages are those of the rates": Case(
        ("customer_orders", "customer_net_revenue", "buying_customers", "aov", "purchase_frequency"),
        (MONTH,),
        # of the unfinished month the mart shows no ratio; its sums are to date in both
        """select period_start, orders, net_revenue, buying_customers,
            coalesce(aov, cast(net_revenue as double) / orders),
            coalesce(purchase_frequency, cast(orders as double) / buying_customers)
        from marts.retention_rates where period_type = 'month' and cut = 'all'""",
    ),
    "revenue by segment of the customers": Case(
        ("net_revenue",),
        ("customer__rfm_segment",),
        """select c.rfm_segment, sum(o.net_revenue) from marts.orders as o left join marts.customers as c
        using (customer_key) group by all""",
    ),
    "customers": Case(
        ("customers", "buyers", "customers_at_risk_today"),
        ("customer__account_type",),
        """select account_type, count(*) filter (where not is_tombstone), count(*) filter (where orders > 0),
            count(*) filter (where is_at_risk)
        from marts.customers group by all""",
    ),
    "customer value": Case(
        ("predicted_value", "predicted_customers", "historic_value", "clv"),
        ("customer__account_type",),
        """select account_type, sum(predicted_value_365d), count(predicted_value_365d), sum(historic_value),
            cast(sum(predicted_value_365d) as double) / nullif(count(predicted_value_365d), 0)
        from marts.customer_value group by all""",
    ),
    "rates": _rates("", "month"),
    "rates, quarterly": _rates("_quarterly", "quarter"),
    "rates, yearly": _rates("_yearly", "year"),
    "rates, by cut": _rates("_by_cut", "month", cuts=True),
    "cohorts": _cohorts("", "cohort_type = 'calendar_month' and cut = 'all' and is_complete"),
    "cohorts, rolling": _cohorts("_rolling_30d", "cohort_type = 'rolling_30d' and cut = 'all' and cohort <> 'pooled'"),
    "cohorts, by cut": _cohorts(
        "_by_cut", "cohort_type = 'calendar_month' and cut <> 'all' and is_complete", cuts=True
    ),
    "recurring revenue": Case(
        (
            "mrr_opening",
            "mrr_new",
            "mrr_expansion",
            "mrr_contraction",
            "mrr_churn",
            "mrr_reactivation",
            "mrr_pause",
            "mrr_resume",
            "mrr_closing",
            "mrr_net_change",
            "mrr_paused",
        ),
        (MONTH,),
        """select month, opening, new, expansion, contraction, churn, reactivation, pause, resume, closing,
            closing - opening, paused_closing
        from marts.mrr_monthly""",
    ),
    "subscribers": Case(
        ("subscribers_opening", "subscribers_lost", "subscribers_lost_ex_pause", "logo_churn", "logo_churn_ex_pause"),
        (MONTH,),
        """select month, customers_opening, customers_lost, customers_lost_ex_pause, logo_churn, logo_churn_ex_pause
        from marts.mrr_monthly where is_complete""",
    ),
    "revenue retention": Case(
        (
            "mrr_base",
            "mrr_kept",
            "mrr_kept_at_most",
            "mrr_kept_ex_pause",
            "mrr_kept_at_most_ex_pause",
            "nrr",
            "grr",
            "nrr_ex_pause",
            "grr_ex_pause",
        ),
        (MONTH,),
        """select month, opening, kept, kept_at_most, kept_ex_pause, kept_at_most_ex_pause,
            nrr, grr, nrr_ex_pause, grr_ex_pause
        from marts.mrr_monthly where is_complete""",
    ),
    "what comes and what goes": Case(
        ("mrr_gained", "mrr_lost", "quick_ratio", "mrr_paused_at_close", "mrr_with_paused_at_close", "paused_share"),
        (MONTH,),
        """select month, new + reactivation + expansion, -churn - contraction, quick_ratio, paused_closing,
            closing + paused_closing, paused_share
        from marts.mrr_monthly where is_complete""",
    ),
    "revenue retention of a quarter is that of its months together": Case(
        ("mrr_base", "mrr_kept", "nrr", "grr", "quick_ratio"),
        ("metric_time__quarter",),
        """select cast(date_trunc('quarter', month) as date), sum(opening), sum(kept),
            cast(sum(kept) as double) / nullif(sum(opening), 0),
            cast(sum(kept_at_most) as double) / nullif(sum(opening), 0),
            cast(sum(new + reactivation + expansion) as double) / nullif(-sum(churn + contraction), 0)
        from marts.mrr_monthly where is_complete group by all""",
    ),
    "lifecycle, by day": Case(
        (
            "at_risk_entrants",
            "lapsed_entrants",
            "win_backs",
            "at_risk_customers",
            "lapsed_customers",
            "active_customers",
        ),
        ("metric_time__day",),
        """select date, sum(entered) filter (where state = 'at_risk'), sum(entered) filter (where state = 'lapsed'),
            sum(entered_from_lapsed), sum(customers) filter (where state = 'at_risk'),
            sum(customers) filter (where state = 'lapsed'),
            sum(customers) filter (where state in ('new', 'active', 'reactivated'))
        from marts.lifecycle_daily group by all""",
    ),
    "lifecycle, by month": Case(
        ("at_risk_entrants", "at_risk_customers"),
        (MONTH,),
        """select cast(date_trunc('month', date) as date), sum(entered), max_by(customers, date)
        from marts.lifecycle_daily where state = 'at_risk' group by all""",
    ),
    "entrants are those of the history": Case(
        ("at_risk_entrants",),
        ("metric_time__day",),
        """select d.date, count(h.customer_key) from (select distinct date from marts.lifecycle_daily) as d
        left join marts.lifecycle_history as h on h.valid_from = d.date and h.state = 'at_risk' group by all""",
    ),
    **{
        f"NPS, scale {scale}, {number}": case
        for suffix, scale in (("", "0-10"), ("_scale_1_10", "1-10"))
        for number, case in enumerate(_nps(suffix, scale))
    },
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_metric_equals_its_mart(case: Case, metrics: Metrics, published: duckdb.DuckDBPyConnection) -> None:
    rows = published.execute(case.mart).fetchall()
    cut = len(case.by)
    expected = {row[:cut]: row[cut:] for row in rows}
    found = metrics.ask(case.metrics, case.by)
    assert len(rows) == len(expected), "the query on the mart must give a row a key"
    assert set(found) == set(expected)
    for key, values in expected.items():
        for name, value, metric in zip(case.metrics, values, found[key], strict=True):
            assert _same(metric, value), f"{name} at {key}: the metric says {metric}, the mart {value}"


def _same(metric: Any, mart: Any) -> bool:
    if isinstance(mart, float) and metric is not None:
        return bool(metric == pytest.approx(mart, rel=1e-9, abs=1e-12))
    return bool(metric == mart)


def test_every_metric_is_compared_with_a_mart(metrics: Metrics) -> None:
    assert sorted(metrics.names) == sorted({name for case in CASES.values() for name in case.metrics})


@pytest.mark.parametrize(
    "case", ["rates", "recurring revenue", "lifecycle, by day", "cohorts", "subscribers", "revenue retention"]
)
def test_the_shop_gives_these_metrics_something_to_say(case: str, metrics: Metrics) -> None:
    """Equality of two empty answers would prove nothing (of the shop's 51 subscriptions none came back or shrank)."""
    asked = CASES[case]
    values = metrics.ask(asked.metrics, asked.by).values()
    silent = {name for name, column in zip(asked.metrics, zip(*values, strict=True), strict=True) if not any(column)}
    assert silent <= {"mrr_reactivation", "mrr_contraction"}


PAGE = (PROJECT_ROOT / "docs" / "adding-a-metric.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"mf query --metrics (\S+) --group-by (\S+)", PAGE)


@pytest.mark.parametrize(("asked", "by"), QUERIES, ids=[asked for asked, _ in QUERIES])
def test_a_query_of_the_page_gives_an_answer(asked: str, by: str, metrics: Metrics) -> None:
    assert metrics.ask(asked.split(","), by.split(","))


@pytest.mark.parametrize("by", [(), ("metric_time__quarter",), ("metric_time__year",)])
def test_opening_and_movements_make_closing_over_any_period(by: tuple[str, ...], metrics: Metrics) -> None:
    movements = ("new", "expansion", "contraction", "churn", "reactivation", "pause", "resume")
    asked = metrics.ask(("mrr_opening", *(f"mrr_{name}" for name in movements), "mrr_closing"), by)
    assert asked
    for *parts, closing in asked.values():
        assert sum(parts) == closing


def test_a_rate_of_all_cut_values_together_is_the_rate_of_everybody(metrics: Metrics) -> None:
    """Whoever forgets to group by the cut is not misled: each cut adds up to all."""
    asked = metrics.ask(("retention_rate", "retention_rate_by_cut"), (MONTH,)).values()
    assert any(whole for whole, _ in asked)
    for whole, cuts in asked:
        assert _same(cuts, whole)


def test_every_metric_has_a_label_and_says_what_it_counts() -> None:
    metrics = Project.compile().manifest["metrics"].values()
    assert [one["name"] for one in metrics if not one["label"] or not one["description"].strip()] == []


def test_ratios_are_ratios_of_metrics_that_anybody_can_ask_for(metrics: Metrics) -> None:
    ratios = [one for one in Project.compile().manifest["metrics"].values() if one["type"] == "ratio"]
    assert {"retention_rate", "churn_rate", "repeat_share", "aov", "clv", "nps", "nrr", "quick_ratio"} <= {
        one["name"] for one in ratios
    }
    parts = {one["type_params"][part]["name"] for one in ratios for part in ("numerator", "denominator")}
    assert parts <= set(metrics.names)


@pytest.mark.parametrize(
    ("ordered", "first", "days"), [(None, "2024-02-01", 10), ("2023-12-20T10:00:00Z", "2023-12-01", 31 + 31 + 10)]
)
def test_the_calendar_covers_whole_months_up_to_the_day_and_stands_on_an_empty_warehouse(
    ordered: str | None, first: str, days: int
) -> None:
    project = Project.compile()
    order = {"order_id": "1", "ordered_at": ordered, "total": "9", "currency": "EUR", "customer_id": "7"}
    con = project.connect({"orders": [order] if ordered else []})
    project.run(con, "time_spine", as_of="2024-02-10")
    found = project.query(
        con, "select min(date_day) as first, max(date_day) as last, count(*) as n from metrics.time_spine"
    )
    assert [str(value) for value in found[0].values()] == [first, "2024-02-10", str(days)]
