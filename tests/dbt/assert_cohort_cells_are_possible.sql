-- What no cell may be: a ratio of an unfinished month, a period 0 that isn't everyone, more active than eligible,
-- a share above 1, a cumulative revenue that is not the sum so far.
with cells as (

    select
        *,
        sum(net_revenue) over (
            partition by cohort_type, cohort, cut, cut_value
            order by period asc
            rows between unbounded preceding and current row
        ) as summed_net_revenue
    from {{ ref('cohort_retention') }}

)

select
    cohort_type,
    cohort,
    period,
    cut,
    cut_value
from cells
where
    is_complete <> (eligible_customers = cohort_size)
    or (retention is null) <> (eligible_customers = 0)
    or (cohort_type = 'calendar_month' and not is_complete and eligible_customers > 0)
    or (period = 0 and active_customers_to_date <> cohort_size)
    or (period = 0 and retention <> 1)
    or active_customers > cohort_size
    or (eligible_customers > 0 and active_customers > eligible_customers)
    or active_customers > active_customers_to_date
    or active_or_later_customers < active_customers
    or unbounded_retention < retention
    or orders < active_customers_to_date
    or cumulative_net_revenue <> summed_net_revenue
