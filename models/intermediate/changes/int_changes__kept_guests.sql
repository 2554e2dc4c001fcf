-- Who guests are, as the front now has it.
{{ after_the_heavy_tier() }}
with guests as (

    select * from {{ source('identity', 'guests') }}
    {% if not takes_fingerprints() %}where false{% endif %}

),

final as (

    select
        cast(system as {{ type_string() }}) as system,
        cast(email as {{ type_string() }}) as email,
        cast(phone as {{ type_string() }}) as phone,
        cast(node_key as {{ type_string() }}) as node_key,
        cast(customer_key as {{ type_string() }}) as customer_key
    from guests

)

select * from final
