-- What had landed when this run was done: what the next run's chunks are compared with.
{{ after_the_heavy_tier() }}
with landed as (

    select * from {{ ref('int_changes__landed') }}
    {% if not takes_fingerprints() %}where false{% endif %}

),

final as (

    select
        entity,
        batch,
        chunk,
        row_count,
        row_hashes
    from landed

)

select * from final
