with orders as (

    select * from {{ ref('int_orders__classified') }}
    where outcome in ('excluded', 'quarantined')

),

order_customers as (

    select * from {{ ref('int_identity__order_customers') }}

),

final as (

    select
        cast(orders.order_key as {{ type_string() }}) as order_key,
        cast(orders.outcome as {{ type_string() }}) as outcome,
        cast(orders.reason as {{ type_string() }}) as reason,
        cast(order_customers.customer_key as {{ type_string() }}) as customer_key,
        cast(orders.system as {{ type_string() }}) as system,
        cast(orders.order_id as {{ type_string() }}) as order_id,
        cast(orders.ordered_at as timestamp) as ordered_at,
        cast(orders.order_date as date) as order_date,
        cast(orders.status as {{ type_string() }}) as status,
        cast(orders.currency as {{ type_string() }}) as currency,
        cast(orders.total as {{ type_price() }}) as stated_total,
        cast(orders.source_file as {{ type_string() }}) as source_file,
        cast(orders.source_line as bigint) as source_line
    from orders
    left join order_customers
        on orders.system = order_customers.system and orders.order_id = order_customers.order_id

)

select * from final
