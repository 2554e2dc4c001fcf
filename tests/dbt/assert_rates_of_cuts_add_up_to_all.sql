-- Every customer has one value of each cut, so the values of a cut add up to the uncut row.
with rates as (

    select * from {{ ref('retention_rates') }}

),

by_cut as (

    select
        period_type,
        period_start,
        cut,
        sum(customers_end) as customers_end,
        sum(new_customers) as new_customers,
        sum(lost) as lost,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue,
        sum(gaps) as gaps
    from rates
    group by period_type, period_start, cut

)

select by_cut.*
from by_cut
inner join rates
    on by_cut.period_type = rates.period_type and by_cut.period_start = rates.period_start and rates.cut = 'all'
where
    by_cut.customers_end <> rates.customers_end
    or by_cut.new_customers <> rates.new_customers
    or by_cut.lost <> rates.lost
    or by_cut.orders <> rates.orders
    or by_cut.net_revenue <> rates.net_revenue
    or by_cut.gaps <> rates.gaps
