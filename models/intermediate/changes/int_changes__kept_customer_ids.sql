-- Whose accounts are, as the front now has it.
{{ after_the_heavy_tier() }}
with customer_ids as (

    select * from {{ ref('int_identity__customer_ids') }}
    {% if not takes_fingerprints() %}where false{% endif %}

),

final as (

    select
        system,
        customer_id,
        node_key,
        customer_key
    from customer_ids

)

select * from final
