-- One credit per order, of its own revenue, to a touch of its own customer: credits can't exceed the orders' revenue.
with

credits as (

    select * from {{ ref('int_campaigns__credits') }}

),

orders as (

    select * from {{ ref('orders') }}

),

final as (

    select
        credits.order_key,
        count(*) as credits
    from credits
    left join orders
        on credits.order_key = orders.order_key
    group by credits.order_key
    having
        count(*) > 1
        or count(orders.order_key) != 1
        or max(case when credits.net_revenue != orders.net_revenue then 1 else 0 end) = 1
        or max(case when credits.customer_key != orders.customer_key then 1 else 0 end) = 1
        or max(case when credits.touched_at > orders.ordered_at then 1 else 0 end) = 1

)

select * from final
