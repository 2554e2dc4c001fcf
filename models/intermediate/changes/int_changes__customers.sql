-- Whose orders' fingerprints are others than after the last finished run, who is new, who is gone; and whom an
-- interrupted run was about to touch, since nobody knows how far it came.
-- depends_on: {{ ref('int_changes__owned_orders') }}
with fingerprints as (

    select * from {{ ref('int_changes__fingerprints') }}

),

before as ( -- noqa: ST03

    select * from {{ ref('int_changes__before') }}

),

all_kept as (

    select *
    from fingerprints
    where false
    {{ and_previous('int_changes__kept', 'select order_key, order_id, customer_key, fingerprint from {previous}') }}

),

kept as (

    select * from all_kept
    {{ in_scope('int_changes__owned_orders') }}

),

changed_orders as (

    select
        fingerprints.customer_key,
        kept.customer_key as former_customer_key
    from fingerprints
    full outer join kept on fingerprints.order_key = kept.order_key
    where
        fingerprints.fingerprint is distinct from kept.fingerprint
        or fingerprints.customer_key is distinct from kept.customer_key

),

changed as (

    select customer_key from changed_orders
    union all
    select former_customer_key as customer_key from changed_orders
    {{ and_previous(
        'int_changes__customers',
        'select customer_key from {previous} where (select before.is_interrupted from before)'
    ) }}

),

final as (

    select distinct cast(customer_key as {{ type_string() }}) as customer_key
    from changed
    where customer_key is not null

)

select * from final
