{{ config(materialized='touched', unique_key='order_key') }}

-- depends_on: {{ ref('int_changes__orders') }}
with orders as (

    select * from {{ ref('int_orders__valid') }}
    {{ only_touched('order_key') }}

),

order_customers as (

    select * from {{ ref('int_identity__order_customers') }}

),

identified as (

    select
        orders.*,
        order_customers.customer_key
    from orders
    left join order_customers
        on orders.system = order_customers.system and orders.order_id = order_customers.order_id

),

-- anonymous orders belong to nobody, so there is nothing to number them within
numbered as (

    select
        *,
        row_number() over (partition by customer_key order by ordered_at asc, order_key asc) as order_number
    from identified
    where customer_key is not null
    union all
    select
        *,
        null as order_number
    from identified
    where customer_key is null

),

final as (

    select
        cast(order_key as {{ type_string() }}) as order_key,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(system as {{ type_string() }}) as system,
        cast(order_id as {{ type_string() }}) as order_id,
        cast(ordered_at as timestamp) as ordered_at,
        cast(order_date as date) as order_date,
        {{ month_start('order_date') }} as order_month,
        cast(order_number as bigint) as order_number,
        cast(order_number = 1 as boolean) as is_first_order,
        cast(items as bigint) as items,
        cast(charged_amount as {{ type_money() }}) as total,
        cast(gross_revenue as {{ type_money() }}) as gross_revenue,
        cast(discount as {{ type_money() }}) as discount,
        cast(tax as {{ type_money() }}) as tax,
        cast(included_tax as {{ type_money() }}) as included_tax,
        cast(shipping as {{ type_money() }}) as shipping,
        cast(refunded as {{ type_money() }}) as refunded,
        cast(net_revenue as {{ type_money() }}) as net_revenue,
        cast(currency as {{ type_string() }}) as currency,
        cast(fx_rate as decimal(18, 10)) as fx_rate,
        cast(channel as {{ type_string() }}) as channel,
        cast(store as {{ type_string() }}) as store,
        cast(coupon_code as {{ type_string() }}) as coupon_code,
        cast(account_type as {{ type_string() }}) as account_type,
        cast(status as {{ type_string() }}) as status,
        cast(system || ':' || subscription_id as {{ type_string() }}) as subscription_key
    from numbered

)

select * from final
