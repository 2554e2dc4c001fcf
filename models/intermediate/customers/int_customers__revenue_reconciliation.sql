-- The same revenue in every mart. Each row compares one mart's total with what the orders and refunds say it must be;
-- a test asks for a difference of 0.00 in every row.
with orders as (

    select * from {{ ref('orders') }}

),

refunds as (

    select * from {{ ref('refunds') }}

),

customers as (

    select * from {{ ref('customers') }}

),

customer_rfm as (

    select * from {{ ref('customer_rfm') }}

),

rfm_grid as (

    select * from {{ ref('rfm_grid') }}

),

cohort_retention as (

    select * from {{ ref('cohort_retention') }}

),

entries as (

    select
        customer_key,
        1 as orders,
        net_revenue
    from orders
    where customer_key is not null

    union all

    select
        customer_key,
        0 as orders,
        -amount as net_revenue
    from refunds
    where
        order_key is null
        and customer_key is not null

),

by_customer as (

    select
        customer_key,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue
    from entries
    group by customer_key

),

expected as (

    select
        'customers' as scope,
        count(*) as customers,
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(net_revenue), 0) as net_revenue
    from by_customer
    -- refunds that cancel out leave a customer without a trace in the sums
    where
        orders > 0
        or net_revenue <> 0

    union all

    select
        'buyers' as scope,
        count(*) as customers,
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(net_revenue), 0) as net_revenue
    from by_customer
    where orders > 0

),

cohort_totals as (

    select
        cohort_type || ' by ' || cut || case when cohort = 'pooled' then ', pooled' else '' end as mart,
        sum(case when period = 0 then cohort_size else 0 end) as customers,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue
    from cohort_retention
    group by cohort_type, cut, case when cohort = 'pooled' then ', pooled' else '' end

),

actual as (

    select
        'customers' as scope,
        'customers' as mart,
        count(*) as customers,
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(net_revenue), 0) as net_revenue
    from customers
    -- prospects who never gave or took money are in no sum
    where
        orders > 0
        or net_revenue <> 0

    union all

    select
        'buyers' as scope,
        'customer_rfm' as mart,
        count(*) as customers,
        coalesce(sum(frequency), 0) as orders,
        coalesce(sum(net_revenue), 0) as net_revenue
    from customer_rfm

    union all

    select
        'buyers' as scope,
        'rfm_grid ' || metric_x || ' by ' || metric_y as mart,
        sum(customers) as customers,
        cast(null as bigint) as orders,
        sum(net_revenue) as net_revenue
    from rfm_grid
    group by metric_x, metric_y

    union all

    select
        'buyers' as scope,
        'cohort_retention ' || mart as mart,
        customers,
        orders,
        net_revenue
    from cohort_totals

),

final as (

    select
        cast(actual.mart as {{ type_string() }}) as mart,
        cast(actual.customers as bigint) as customers,
        cast(expected.customers as bigint) as expected_customers,
        cast(actual.orders as bigint) as orders,
        cast(case when actual.orders is not null then expected.orders end as bigint) as expected_orders,
        cast(actual.net_revenue as {{ type_money() }}) as net_revenue,
        cast(expected.net_revenue as {{ type_money() }}) as expected_net_revenue
    from actual
    inner join expected on actual.scope = expected.scope

)

select * from final
