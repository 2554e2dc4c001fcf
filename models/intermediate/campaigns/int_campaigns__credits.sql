with touches as (

    select * from {{ ref('int_campaigns__touches') }}

),

orders as (

    select * from {{ ref('orders') }}
    where customer_key is not null

),

candidates as (

    select
        orders.order_key,
        orders.customer_key,
        orders.order_date,
        orders.order_month,
        orders.net_revenue,
        touches.touch_key,
        touches.campaign_key,
        touches.channel,
        touches.touch_type,
        touches.touched_at,
        row_number() over (
            partition by orders.order_key
            order by touches.touched_at desc, touches.touch_key desc
        ) as touch_rank
    from orders
    inner join touches
        on
            orders.customer_key = touches.customer_key
            and orders.ordered_at >= touches.touched_at
            and orders.ordered_at <= touches.credit_until

),

final as (

    select
        cast(order_key as {{ type_string() }}) as order_key,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(order_date as date) as order_date,
        cast(order_month as date) as order_month,
        cast(net_revenue as {{ type_money() }}) as net_revenue,
        cast(touch_key as {{ type_string() }}) as touch_key,
        cast(campaign_key as {{ type_string() }}) as campaign_key,
        cast(channel as {{ type_string() }}) as channel,
        cast(touch_type as {{ type_string() }}) as touch_type,
        cast(touched_at as timestamp) as touched_at
    from candidates
    where touch_rank = 1

)

select * from final
