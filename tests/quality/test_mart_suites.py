"""The shipped suites of lifecycle, value and repurchase on small tables: green, and red with each fault."""

from tests.quality.support import green_and_red_with_all_faults

TABLES = (
    "lifecycle_daily",
    "customer_value",
    "value_model_fits",
    "product_repurchase",
    "retention_rates",
    "product_affinity",
    "customer_recommendations",
)

GOOD = """
    create or replace table marts.lifecycle_daily as
    select date '2024-03-31' - cast(n as integer) as date, state, 5 as customers, 1 as entered, 1 as "left"
    from range(40) as days(n), unnest(['active', 'at_risk']) as states(state);
    create or replace table marts.customer_value as
    select 'ok' as value_status, 0.5 as p_alive, cast(3 as double) as expected_orders_365d,
        90.00 as predicted_value_365d, n as value_decile
    from range(1, 11) as customers(n);
    create or replace table marts.value_model_fits as
    select 'all' as business_line, 'mbg_nbd' as model, 'converged' as status, false as is_recency_better,
        0.8 as auc_model, 0.1 as orders_error, 0.1 as revenue_error, 0.86 as interval_coverage,
        0.85 as interval_coverage_expected
    union all
    select 'b2b', 'mbg_nbd', 'too_little_data', null, null, null, null, null, null
    union all
    select 'all', 'gamma_gamma', 'converged', null, null, null, null, null, null;
    create or replace table marts.product_repurchase as
    select 12 as buyers, cast(0.4 as double) as repurchase_rate, 28 as typical_interval_days,
        cast(0.3 as double) as subscription_score, false as is_subscription_candidate
    union all
    select 1, null, null, null, false;
    create or replace table marts.retention_rates as
    select 'month' as period_type, date '2024-03-01' as period_start, 'all' as cut, 0.9 as retention_rate,
        0.4 as repeat_share, 1.5 as purchase_frequency
    union all
    select 'month', date '2024-02-01', 'all', null, null, null;
    create or replace table marts.product_affinity as
    select 0.4 as confidence, 1.3 as lift, 20 as product_orders, 8 as pair_orders;
    create or replace table marts.customer_recommendations as
    select 1 as rank, 'Tea' as product_name, date '2024-03-30' as last_bought_date, 'replenish_due' as reason;
"""

FAULTS = {
    "column_values_to_be_between__customers": "update marts.lifecycle_daily set customers = -1 where state = 'active'",
    "column_values_to_be_between__entered": "update marts.lifecycle_daily set entered = -1 where state = 'active'",
    "column_max_to_be_between__date": "update marts.lifecycle_daily set date = date + 1",
    "somebody_is_in_a_state_on_the_last_day": (
        "update marts.lifecycle_daily set customers = 0 where date = (select max(date) from marts.lifecycle_daily)"
    ),
    "column_values_to_be_between__p_alive": "update marts.customer_value set p_alive = 1.1 where value_decile = 1",
    "column_values_to_be_between__expected_orders_365d": "update marts.customer_value set expected_orders_365d = 900",
    "column_values_to_be_between__predicted_value_365d": "update marts.customer_value set predicted_value_365d = -1",
    "column_values_to_be_between__value_decile": "update marts.customer_value set value_decile = value_decile - 1",
    "column_values_to_be_between__recency_is_better": (
        "update marts.value_model_fits set is_recency_better = true where auc_model is not null"
    ),
    "column_values_to_be_between__auc_model": "update marts.value_model_fits set auc_model = 0.5",
    "column_values_to_be_between__orders_error": "update marts.value_model_fits set orders_error = -0.6",
    "column_values_to_be_between__revenue_error": "update marts.value_model_fits set revenue_error = 0.6",
    "column_values_to_be_between__coverage_gap": "update marts.value_model_fits set interval_coverage = 0.6",
    "column_values_to_be_between__unusable": (
        "update marts.value_model_fits set status = 'degenerate' where model = 'gamma_gamma'"
    ),
    "column_values_to_be_between__repurchase_rate": "update marts.product_repurchase set repurchase_rate = 1.2",
    "column_values_to_be_between__buyers": "update marts.product_repurchase set buyers = 0",
    "column_values_to_be_between__typical_interval_days": (
        "update marts.product_repurchase set typical_interval_days = 0"
    ),
    "column_values_to_be_between__retention_rate": "update marts.retention_rates set retention_rate = 1.1",
    "column_values_to_be_between__repeat_share": "update marts.retention_rates set repeat_share = 1.1",
    "column_values_to_be_between__purchase_frequency": "update marts.retention_rates set purchase_frequency = 0.5",
    "column_max_to_be_between__period_start": "update marts.retention_rates set period_start = date '2024-04-01'",
    "column_values_to_be_between__confidence": "update marts.product_affinity set confidence = 1.2",
    "column_values_to_be_between__lift": "update marts.product_affinity set lift = 0",
    "column_pair_values_a_to_be_greater_than_b__product_orders": ("update marts.product_affinity set pair_orders = 21"),
    "column_values_to_be_between__rank": "update marts.customer_recommendations set rank = 0",
    "column_values_to_not_be_null__product_name": "update marts.customer_recommendations set product_name = null",
    "column_max_to_be_between__last_bought_date": (
        "update marts.customer_recommendations set last_bought_date = date '2024-04-01'"
    ),
    "column_values_to_be_between__subscription_score": "update marts.product_repurchase set subscription_score = -0.1",
}


def test_the_suites_of_lifecycle_value_and_repurchase_are_green_and_go_red_with_each_fault(tmp_path):
    green_and_red_with_all_faults(tmp_path, TABLES, GOOD, FAULTS)
