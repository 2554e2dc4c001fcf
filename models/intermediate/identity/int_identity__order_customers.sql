{#- Superseded, duplicate and unreadable rows left out, an order id is one row. -#}
with

orders as (

    select * from {{ ref('int_canonical__orders') }} where row_status in ('current', 'deleted', 'erased')

),

customer_ids as (

    select * from {{ ref('int_identity__customer_ids') }}

),

guests as (

    select * from {{ source('identity', 'guests') }}

),

final as (

    select
        cast(orders.system as {{ type_string() }}) as system,
        cast(orders.order_id as {{ type_string() }}) as order_id,
        cast(coalesce(customer_ids.node_key, guests.node_key) as {{ type_string() }}) as node_key,
        cast(coalesce(customer_ids.customer_key, guests.customer_key) as {{ type_string() }}) as customer_key
    from orders
    left join customer_ids
        on orders.system = customer_ids.system and orders.customer_id = customer_ids.customer_id
    left join guests
        on
            orders.customer_id is null
            and orders.system = guests.system
            and coalesce(orders.email, '') = guests.email
            and coalesce(orders.phone, '') = guests.phone

)

select * from final
