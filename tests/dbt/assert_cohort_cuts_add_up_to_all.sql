-- The values of each cut are a partition of the cohort.
with totals as (

    select
        cohort_type,
        cohort,
        cut,
        period,
        sum(cohort_size) as cohort_size,
        sum(active_customers) as active_customers,
        sum(eligible_customers) as eligible_customers,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue
    from {{ ref('cohort_retention') }}
    group by cohort_type, cohort, cut, period

),

uncut as (

    select * from totals
    where cut = 'all'

)

select
    totals.cohort_type,
    totals.cohort,
    totals.cut,
    totals.period
from totals
inner join uncut
    on
        totals.cohort_type = uncut.cohort_type
        and totals.cohort = uncut.cohort
        and totals.period = uncut.period
where
    totals.active_customers <> uncut.active_customers
    or totals.eligible_customers <> uncut.eligible_customers
    or totals.orders <> uncut.orders
    or totals.net_revenue <> uncut.net_revenue
    or (totals.period = 0 and totals.cohort_size <> uncut.cohort_size)
