-- The fingerprints that the heavy tier now stands for: what the next run compares with. After all of its tables.
{%- for heavy in heavy_models() %}
-- depends_on: {{ ref(heavy) }}
{%- endfor %}
with fingerprints as (

    select * from {{ ref('int_changes__fingerprints') }}

),

final as (

    select
        customer_key,
        fingerprint
    from fingerprints

)

select * from final
