-- The refunds of orders that the heavy tier now stands for.
{{ after_the_heavy_tier() }}
with refunds as (

    select * from {{ ref('int_changes__refunds') }}
    {% if not takes_fingerprints() %}where false{% endif %}

),

final as (

    select
        order_key,
        order_id,
        row_hashes
    from refunds

)

select * from final
