"""The shipped suites of raw subscriptions, their events and plans: green, and red with each fault."""

from ritorno.quality import run_suites
from tests.quality.support import AS_OF, home_with, shipped

TABLES = ("subscriptions", "subscription_events", "plans")

GOOD = """
    create table raw.subscriptions as
    select 's' || n as subscription_id, 'active' as status, '2024-01-01T10:00:00Z' as started_at, '10.00' as price,
        '2024-02-01T10:00:00Z' as ended_at, cast(null as varchar) as cancelled_at
    from range(200) as rows(n);
    create table raw.subscription_events as
    select 'e' || n as event_id, 's' || n as subscription_id, 'activated' as type,
        cast(timestamp '2024-01-01 10:00:00' + cast(n as integer) * interval '1 hour' as varchar) as occurred_at
    from range(600) as rows(n)
    union all
    select 'f' || n, 's' || n, 'paused',
        cast(timestamp '2024-01-02 10:00:00' + cast(n as integer) * interval '1 hour' as varchar)
    from range(600) as rows(n);
    create table raw.plans as select 'p' || n as plan_id, '10.00' as price, 'month' as "interval"
    from range(20) as rows(n);
"""

FAULTS = {
    "subscriptions.column_values_to_not_be_null__subscription_id": "set subscription_id = null",
    "subscriptions.column_values_to_not_be_null__started_at": "set started_at = '01/02/2024 10.00'",
    "subscriptions.column_values_to_be_between__known_status": "set status = 'ACTIVE_RENEWING'",
    "subscriptions.column_values_to_be_between__started_at": "set started_at = '1970-01-01T00:00:00Z'",
    "subscriptions.column_values_to_be_between__days_from_start_to_end": "set ended_at = '2023-01-01T10:00:00Z'",
    "subscriptions.column_values_to_be_between__price": "set price = '99900000'",
    "subscription_events.column_values_to_not_be_null__subscription_id": "set subscription_id = null",
    "subscription_events.column_values_to_not_be_null__occurred_at": "set occurred_at = 'yesterday'",
    "subscription_events.column_values_to_be_between__known_type": "set type = 'customer.subscription.updated'",
    "subscription_events.column_values_to_be_between__occurred_at": "set occurred_at = '2031-01-01T00:00:00Z'",
    "subscription_events.column_values_to_be_between__days_after_start": (
        "set occurred_at = '2020-01-01T00:00:00Z' where type = 'paused'"
    ),
    "subscription_events.column_values_to_be_between__days_of_silence": (
        "set occurred_at = '2024-01-06T10:00:00Z' where occurred_at between '2024-01-06' and '2024-01-12'"
    ),
    "plans.column_values_to_not_be_null__plan_id": "set plan_id = null",
    "plans.column_values_to_be_between__known_interval": "set \"interval\" = 'P1M'",
    "plans.column_values_to_be_between__price": "set price = '-1'",
}


def test_each_fault_in_a_delivery_of_subscriptions_turns_its_check_red_and_a_good_one_none(tmp_path):
    folder = shipped(tmp_path / "expectations", "raw", *TABLES)
    good = run_suites(home_with(tmp_path / "good", GOOD), "raw", "run-1", AS_OF, folder=folder)
    assert [(result.table, result.check_name, result.observed) for result in good if not result.success] == []
    judged = {f"{result.table}.{result.check_name}" for result in good if not result.check_name.startswith("drift")}
    assert judged == set(FAULTS)
    for number, (name, fault) in enumerate(FAULTS.items()):
        table = name.split(".")[0]
        one = shipped(tmp_path / f"expectations{number}", "raw", table)
        home = home_with(tmp_path / f"bad{number}", GOOD, f"update raw.{table} {fault}")
        red = {
            f"{r.table}.{r.check_name}" for r in run_suites(home, "raw", "run-1", AS_OF, folder=one) if not r.success
        }
        assert name in red, (name, red)
