with order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

refunds as (

    select * from {{ ref('refunds') }}

),

-- what an order's refunds took off is in the order's net revenue; these have no order to stand on
refunds_without_order as (

    select
        customer_key,
        amount
    from refunds
    where
        order_key is null
        and customer_key is not null

),

entries as (

    select
        customer_key,
        order_date,
        orders,
        1 as order_days,
        net_revenue
    from order_days

    union all

    select
        customer_key,
        cast(null as date) as order_date,
        0 as orders,
        0 as order_days,
        -amount as net_revenue
    from refunds_without_order

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(sum(orders) as bigint) as orders,
        cast(sum(order_days) as bigint) as order_days,
        cast(min(order_date) as date) as first_order_date,
        cast(max(order_date) as date) as last_order_date,
        cast(sum(net_revenue) as {{ type_money() }}) as net_revenue
    from entries
    group by customer_key

)

select * from final
