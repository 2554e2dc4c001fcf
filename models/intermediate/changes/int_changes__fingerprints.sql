-- All that the heavy tier reads of an order, as one number, and whose it is: the sum of the hashes of its rows, so the
-- order of rows doesn't matter and a row twice is not a row once. Validity, currency, refunds and as-of are decided
-- before this point: whatever changes an input changes the sum, and nothing else does. Of all orders if the front was
-- built in full, else of those it touched. An anonymous order is a customer of its own.
-- depends_on: {{ ref('int_changes__owned_orders') }}
with orders as (

    select * from {{ ref('int_orders__valid') }}
    where {{ takes_fingerprints() | string | lower }}
    {{ in_scope('int_changes__owned_orders', 'and') }}

),

items as (

    select * from {{ ref('int_orders__items') }}
    where {{ takes_fingerprints() | string | lower }}
    {{ in_scope('int_changes__owned_orders', 'and') }}

),

refunds as (

    select * from {{ ref('int_changes__refunds') }}

),

order_customers as (

    select * from {{ ref('int_identity__order_customers') }}
    where {{ takes_fingerprints() | string | lower }}
    {{ in_scope('int_changes__owned_orders', 'and') }}

),

hashed_orders as (

    select
        order_key,
        system,
        order_id,
        {{ row_hash('orders') }} as row_hash
    from orders

),

hashed_items as (

    select
        order_key,
        sum({{ row_hash('items') }}) as row_hashes
    from items
    group by order_key

),

owned as (

    select
        hashed_orders.order_key,
        hashed_orders.order_id,
        coalesce(order_customers.customer_key, 'order:' || hashed_orders.order_key) as customer_key,
        hashed_orders.row_hash
        + coalesce(hashed_items.row_hashes, 0)
        + coalesce(refunds.row_hashes, 0) as fingerprint
    from hashed_orders
    left join hashed_items
        on hashed_orders.order_key = hashed_items.order_key
    left join refunds
        on hashed_orders.order_key = refunds.order_key
    left join order_customers
        on hashed_orders.system = order_customers.system and hashed_orders.order_id = order_customers.order_id

),

final as (

    select
        cast(order_key as {{ type_string() }}) as order_key,
        cast(order_id as {{ type_string() }}) as order_id,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(fingerprint as decimal(38, 0)) as fingerprint
    from owned

)

select * from final
