{{ config(
    materialized='touched', unique_key='order_id', meta={'touched_by': 'int_changes__owned_orders'}
) }}

-- The fingerprints that the heavy tier now stands for: what the next run compares with. After all of its tables.
{{ after_the_heavy_tier() }}
with fingerprints as (

    select * from {{ ref('int_changes__fingerprints') }}

),

final as (

    select
        order_key,
        order_id,
        customer_key,
        fingerprint
    from fingerprints

)

select * from final
