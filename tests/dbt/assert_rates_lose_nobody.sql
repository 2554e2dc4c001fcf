-- S − lost + N + W = E, each period starts with the customers that the one before ended with, and rates are possible.
with rates as (

    select * from {{ ref('retention_rates') }}

),

successive as (

    select
        period_type,
        period_start,
        cut,
        cut_value,
        customers_start,
        customers_end,
        new_customers,
        won_back,
        lost,
        retention_rate,
        churn_rate,
        repeat_customers,
        buying_customers,
        bought_again_next_period,
        is_complete,
        repeat_share,
        purchase_frequency,
        aov,
        simple_clv,
        lag(customers_end) over (
            partition by period_type, cut, cut_value order by period_start asc
        ) as customers_end_before
    from rates

)

select
    period_type,
    period_start,
    cut,
    cut_value,
    customers_start,
    customers_end,
    customers_end_before,
    retention_rate
from successive
where
    customers_start - lost + new_customers + won_back <> customers_end
    or customers_start <> coalesce(customers_end_before, 0)
    or customers_end < 0
    or lost > customers_start
    or abs(retention_rate + churn_rate - 1) > 1e-9
    or retention_rate not between 0 and 1
    or repeat_customers > buying_customers
    or bought_again_next_period > buying_customers
    or (not is_complete and coalesce(retention_rate, repeat_share, purchase_frequency, aov, simple_clv) is not null)
