{{ config(materialized='touched', unique_key='order_key') }}

-- depends_on: {{ ref('int_changes__orders') }}
with orders as (

    select * from {{ ref('int_orders__valid') }}
    where items > 0 and not is_spread
    {{ only_touched('order_key', 'and') }}

),

items as (

    select * from {{ ref('int_orders__items') }}
    {{ only_touched('order_key') }}

),

spread_items as (

    select * from {{ ref('int_orders__spread_items') }}
    {{ only_touched('order_key') }}

),

-- nothing to spread: in the reporting currency and in whole cents already
plain_items as (

    select
        items.order_item_key,
        items.order_key,
        items.product_key,
        items.system,
        items.order_id,
        items.product_id,
        orders.order_date,
        items.quantity,
        items.unit_price,
        items.line_discount,
        cast(items.line_net as {{ type_money() }}) as gross_revenue,
        cast(0 as {{ type_money() }}) as discount,
        cast(0 as {{ type_money() }}) as included_tax,
        cast(0 as {{ type_money() }}) as refunded,
        cast(items.line_net as {{ type_money() }}) as net_revenue
    from items
    inner join orders
        on items.order_key = orders.order_key

),

all_items as (

    select * from plain_items
    union all
    select * from spread_items

),

final as (

    select
        cast(order_item_key as {{ type_string() }}) as order_item_key,
        cast(order_key as {{ type_string() }}) as order_key,
        cast(product_key as {{ type_string() }}) as product_key,
        cast(system as {{ type_string() }}) as system,
        cast(order_id as {{ type_string() }}) as order_id,
        cast(product_id as {{ type_string() }}) as product_id,
        cast(order_date as date) as order_date,
        cast(quantity as {{ type_price() }}) as quantity,
        cast(unit_price as {{ type_price() }}) as unit_price,
        cast(line_discount as {{ type_price() }}) as line_discount,
        cast(gross_revenue as {{ type_money() }}) as gross_revenue,
        cast(discount as {{ type_money() }}) as discount,
        cast(included_tax as {{ type_money() }}) as included_tax,
        cast(refunded as {{ type_money() }}) as refunded,
        cast(net_revenue as {{ type_money() }}) as net_revenue
    from all_items

)

select * from final
