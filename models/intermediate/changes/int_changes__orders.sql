-- The orders of the touched customers: those they have now, those they had after the last run (a deleted order, or one
-- that went to somebody else), and those that an interrupted run was about to touch. Empty when everything is built.
with run as (

    select * from {{ ref('int_changes__run') }}

),

touched as (

    select * from {{ ref('int_changes__customers') }}
    where (select run.mode from run) = 'incremental'

),

order_customers as (

    select
        customer_key,
        system || ':' || order_id as order_key
    from {{ ref('int_identity__order_customers') }}

),

touched_orders as (

    select order_key
    from order_customers
    where coalesce(customer_key, 'order:' || order_key) in (select touched.customer_key from touched)
    {{ and_previous(
        'orders',
        "select order_key from {previous}"
        ~ " where coalesce(customer_key, 'order:' || order_key) in (select touched.customer_key from touched)",
        schema='marts'
    ) }}
    {{ and_previous(
        'int_changes__orders',
        "select order_key from {previous}"
        ~ " where (select run.is_interrupted and run.mode = 'incremental' from run)"
    ) }}

),

final as (

    select distinct cast(order_key as {{ type_string() }}) as order_key
    from touched_orders

)

select * from final
