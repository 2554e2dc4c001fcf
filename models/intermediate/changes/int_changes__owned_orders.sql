-- Touched orders, 5. in macros/incremental/front.sql.
with front as (

    select * from {{ ref('int_changes__front') }}

),

order_ids as (

    select order_id
    from {{ ref('int_changes__front_orders') }}

),

orders as (

    select
        system,
        customer_id,
        coalesce(order_id, '') as order_id,
        case when customer_id is null then coalesce(email, '') end as guest_email,
        case when customer_id is null then coalesce(phone, '') end as guest_phone
    from {{ ref('int_canonical__orders') }}
    where (select front.mode from front) = 'incremental'

),

customer_ids as (

    select
        system,
        customer_id,
        node_key,
        customer_key
    from {{ ref('int_identity__customer_ids') }}

),

guests as (

    select
        system,
        email,
        phone,
        node_key,
        customer_key
    from {{ source('identity', 'guests') }}

),

refunds as (

    select * from {{ ref('int_changes__refunds') }}

),

{{ kept_and_changed('customer_ids', 'customer_ids', ['system', 'customer_id'], ['node_key', 'customer_key']) }},

{{ kept_and_changed('guests', 'guests', ['system', 'email', 'phone'], ['node_key', 'customer_key']) }},

kept_refunds as (

    select *
    from refunds
    where false
    {{ and_previous('int_changes__kept_refunds', 'select order_key, order_id, row_hashes from {previous}') }}

),

changed_refunds as (

    select coalesce(refunds.order_id, kept_refunds.order_id) as order_id
    from refunds
    full outer join kept_refunds
        on refunds.order_key = kept_refunds.order_key
    where refunds.row_hashes is distinct from kept_refunds.row_hashes

),

of_customers as (

    select orders.order_id
    from orders
    inner join changed_customer_ids
        on orders.system = changed_customer_ids.system and orders.customer_id = changed_customer_ids.customer_id

),

of_guests as (

    select orders.order_id
    from orders
    inner join changed_guests
        on
            orders.system = changed_guests.system
            and orders.guest_email = changed_guests.email
            and orders.guest_phone = changed_guests.phone

),

touched as (

    select order_id from order_ids
    union all
    select order_id from of_customers
    union all
    select order_id from of_guests
    union all
    select order_id from changed_refunds
    where (select front.mode from front) = 'incremental'
    {{ and_interrupted('int_changes__owned_orders') }}

),

{{ distinct_keys('touched') }}
