-- All that the heavy tier reads of a customer, as one number: the sum of the hashes of every row, so the order of rows
-- doesn't matter and a row twice is not a row once. Validity, currency, refunds and as-of are decided before this
-- point: whatever changes an input (a late, corrected or deleted row, a merge, a rate, a date that is reached) changes
-- the sum, and nothing else does. An anonymous order is a customer of its own.
with orders as (

    select * from {{ ref('int_orders__valid') }}
    {% if not takes_fingerprints() %}where false{% endif %}

),

items as (

    select * from {{ ref('int_orders__items') }}
    {% if not takes_fingerprints() %}where false{% endif %}

),

refunds as (

    select * from {{ ref('int_refunds__classified') }}
    where outcome = 'counts' and order_key is not null

),

order_customers as (

    select * from {{ ref('int_identity__order_customers') }}

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

hashed_refunds as (

    select
        order_key,
        sum({{ row_hash('refunds') }}) as row_hashes
    from refunds
    group by order_key

),

owned as (

    select
        coalesce(order_customers.customer_key, 'order:' || hashed_orders.order_key) as customer_key,
        hashed_orders.row_hash
        + coalesce(hashed_items.row_hashes, 0)
        + coalesce(hashed_refunds.row_hashes, 0) as row_hashes
    from hashed_orders
    left join hashed_items
        on hashed_orders.order_key = hashed_items.order_key
    left join hashed_refunds
        on hashed_orders.order_key = hashed_refunds.order_key
    left join order_customers
        on hashed_orders.system = order_customers.system and hashed_orders.order_id = order_customers.order_id

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(count(*) as bigint) as orders,
        cast(sum(row_hashes) as decimal(38, 0)) as fingerprint
    from owned
    group by customer_key

)

select * from final
