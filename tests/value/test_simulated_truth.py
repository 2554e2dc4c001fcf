"""What the mart says of the simulator's customers, against what these customers really did, which no model reads."""

from __future__ import annotations

from datetime import date

import pytest

from ritorno import contract
from ritorno.simulate import simulate
from tests.support import Project

END = date(2026, 3, 31)
AS_OF = "2025-03-31"
"""A year before the end: whole years have every season, and the simulator's demand has seasons."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
def test_p_alive_and_expected_orders_agree_with_the_simulators_truth(seed, tmp_path):
    """Some 1,500 buyers: P(alive) within 0.05 of the share alive, order days of the year after within 10 %, and both
    in the right order (top third by P(alive) alive more often than the lowest, and by expected orders ordering more).

    The world is richer than the model: seasons, campaigns that sell, complaints that make people leave, two lines.
    """
    report = simulate(tmp_path / "sim", customers=2500, seed=seed, years=4, end=END, dirt=0.01, format="csv")
    project = Project.compile()
    con = project.connect({})
    for table in contract.raw_tables():
        path = report.raw / table.name
        files = f"{path}/*.csv" if path.is_dir() else f"{path}.csv"
        if table.system == "files":
            con.execute(f"""
                insert into {table.relation} by name
                select *, '{table.name}.csv' as _ritorno_file,
                    row_number() over () as _ritorno_line, 1 as _ritorno_batch
                from read_csv('{files}', all_varchar = true)
            """)
    project.run(con, "customer_value", "value_model_fits", as_of=AS_OF)
    for name in ("persons", "orders"):
        con.execute(f"create view truth_{name} as from read_parquet('{report.out}/truth/{name}.parquet')")
    con.execute(f"""
        create table compared as
        with told as (
            select orders.customer_key, min(truth.person_id) as person_id
            from marts.orders as orders inner join truth_orders as truth using (order_id)
            where orders.customer_key is not null
            group by all having count(distinct truth.person_id) = 1
        ), later as (
            select person_id, count(distinct cast(timezone('Europe/Berlin', ordered_at) as date)) as order_days
            from truth_orders
            where is_valid and ordered_at >= timestamp '{AS_OF} 22:00:00'
            group by all
        )
        select p_alive, expected_orders_365d, predicted_value_365d, coalesce(later.order_days, 0) as came,
            persons.dropped_out_at is null or persons.dropped_out_at > timestamp '{AS_OF} 22:00:00' as is_alive,
            ntile(3) over (order by p_alive, customer_key) as third_alive,
            ntile(3) over (order by expected_orders_365d, customer_key) as third_orders
        from marts.customer_value inner join told using (customer_key)
        inner join truth_persons as persons using (person_id) left join later using (person_id)
        where value_status = 'ok' and not persons.has_subscription
    """)
    n, told_alive, alive, told_orders, came = con.execute(
        "select count(*), avg(p_alive), avg(is_alive::int), sum(expected_orders_365d), sum(came) from compared"
    ).fetchone()
    assert n > 1000
    assert abs(told_alive - alive) < 0.05, (told_alive, alive)
    assert abs(told_orders / came - 1) < 0.1, (told_orders, came)
    by_alive = [row[0] for row in con.execute(
        "select avg(is_alive::int) from compared group by third_alive order by third_alive").fetchall()]  # fmt: skip
    by_orders = [row[0] for row in con.execute(
        "select avg(came) from compared group by third_orders order by third_orders").fetchall()]  # fmt: skip
    assert by_alive[0] + 0.2 < by_alive[2]
    assert by_orders[0] < by_orders[1] < by_orders[2]
    (fit,) = project.query(con, "from marts.value_model_fits where business_line = 'all' and role = 'orders'")
    assert fit["status"] == fit["backtest_status"] == "converged"
    assert abs(fit["orders_error"]) < 0.35
