-- What landed beside what had landed at the last finished run.
with landed as (

    select * from {{ ref('int_changes__landed') }}

),

kept as (

    select *
    from landed
    where false
    {{ and_previous('int_changes__kept_landed', 'select entity, batch, chunk, row_count, row_hashes from {previous}') }}

),

final as (

    select
        cast(coalesce(landed.entity, kept.entity) as {{ type_string() }}) as entity,
        cast(coalesce(landed.batch, kept.batch) as bigint) as batch,
        cast(coalesce(landed.chunk, kept.chunk) as bigint) as chunk,
        cast(greatest(coalesce(landed.row_count, 0), coalesce(kept.row_count, 0)) as bigint) as row_count,
        coalesce(landed.row_hashes != kept.row_hashes or landed.row_count != kept.row_count, true) as is_changed
    from landed
    full outer join kept
        on landed.entity = kept.entity and landed.batch = kept.batch and landed.chunk = kept.chunk

)

select * from final
