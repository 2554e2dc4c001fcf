{{ config(materialized='view') }}

with orders as (

    select * from {{ ref('int_orders__classified') }}
    where outcome = 'valid'

),

refunds as (

    select * from {{ ref('int_refunds__classified') }}
    where outcome = 'counts' and order_key is not null

),

refunded_orders as (

    select
        order_key,
        cast(sum(amount) as {{ type_money() }}) as refunded,
        cast(sum(case when order_item_key is null then amount else 0 end) as {{ type_money() }}) as refunded_on_no_line
    from refunds
    group by order_key

),

final as (

    select
        orders.order_key,
        orders.system,
        orders.order_id,
        orders.ordered_at,
        orders.order_date,
        orders.customer_id,
        orders.subscription_id,
        orders.status,
        orders.currency,
        orders.fx_rate,
        orders.items,
        orders.charged_amount,
        orders.gross_revenue,
        orders.discount,
        orders.tax,
        orders.included_tax,
        orders.shipping,
        orders.net_before_refunds,
        coalesce(refunded_orders.refunded, 0) as refunded,
        coalesce(refunded_orders.refunded_on_no_line, 0) as refunded_on_no_line,
        cast(orders.net_before_refunds - coalesce(refunded_orders.refunded, 0) as {{ type_money() }}) as net_revenue,
        -- most orders need no spreading: their lines are worth what they say
        orders.items > 0
        and (
            orders.has_uneven_lines
            or orders.discount != 0
            or orders.included_tax != 0
            or refunded_orders.order_key is not null
        ) as is_spread,
        orders.channel,
        orders.store,
        orders.coupon_code,
        orders.account_type
    from orders
    left join refunded_orders
        on orders.order_key = refunded_orders.order_key

)

select * from final
