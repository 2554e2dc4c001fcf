-- Whose fingerprint is another than after the last finished run, who is new, who is gone; and whom an interrupted run
-- was about to touch, since nobody knows how far it came.
with fingerprints as (

    select * from {{ ref('int_changes__fingerprints') }}

),

before as ( -- noqa: ST03

    select * from {{ ref('int_changes__before') }}

),

kept as (

    select
        customer_key,
        fingerprint
    from fingerprints
    where false
    {{ and_previous('int_changes__kept', 'select customer_key, fingerprint from {previous}') }}

),

changed as (

    select coalesce(fingerprints.customer_key, kept.customer_key) as customer_key
    from fingerprints
    full outer join kept on fingerprints.customer_key = kept.customer_key
    where fingerprints.fingerprint is distinct from kept.fingerprint
    {{ and_previous(
        'int_changes__customers',
        'select customer_key from {previous} where (select before.is_interrupted from before)'
    ) }}

),

final as (

    select distinct cast(customer_key as {{ type_string() }}) as customer_key
    from changed

)

select * from final
