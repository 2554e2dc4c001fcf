{{ config(
    materialized='touched', unique_key='order_id', meta={'touched_by': 'int_changes__owned_orders'}
) }}

-- Superseded, duplicate and unreadable rows left out, an order id is one row.
-- depends_on: {{ ref('int_changes__owned_orders') }}
with

orders as (

    select *
    from {{ ref('int_canonical__orders') }}
    where
        row_status in ('current', 'deleted', 'erased')
        {{ only_order_ids('int_changes__owned_orders', 'and') }}

),

customer_ids as (

    select * from {{ ref('int_identity__customer_ids') }}

),

guests as (

    select * from {{ source('identity', 'guests') }}

),

-- a guest's key is null for orders with an account, so that the join is an equality and nothing else: a further
-- condition on the orders' side makes DuckDB compare every account's order with every guest
keyed_orders as (

    select
        system,
        order_id,
        customer_id,
        case when customer_id is null then coalesce(email, '') end as guest_email,
        case when customer_id is null then coalesce(phone, '') end as guest_phone
    from orders

),

final as (

    select
        cast(keyed_orders.system as {{ type_string() }}) as system,
        cast(keyed_orders.order_id as {{ type_string() }}) as order_id,
        cast(coalesce(customer_ids.node_key, guests.node_key) as {{ type_string() }}) as node_key,
        cast(coalesce(customer_ids.customer_key, guests.customer_key) as {{ type_string() }}) as customer_key
    from keyed_orders
    left join customer_ids
        on keyed_orders.system = customer_ids.system and keyed_orders.customer_id = customer_ids.customer_id
    left join guests
        on
            keyed_orders.system = guests.system
            and keyed_orders.guest_email = guests.email
            and keyed_orders.guest_phone = guests.phone

)

select * from final
