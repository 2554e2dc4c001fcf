with sizes as (

    select * from {{ source('segment_state', 'sizes') }}

),

final as (

    select
        cast(segment as {{ type_string() }}) as segment,
        cast(date as date) as date,
        cast(opening as bigint) as opening,
        cast(entered as bigint) as entered,
        cast(left_members as bigint) as left_members,
        cast(merged as bigint) as merged,
        cast(size as bigint) as size,
        cast(eligible as bigint) as eligible,
        cast(in_grace as bigint) as in_grace,
        cast(people as bigint) as people,
        {{ ratio('size', 'people') }} as share,
        cast(definition_hash as {{ type_string() }}) as definition_hash
    from sizes

)

select * from final
