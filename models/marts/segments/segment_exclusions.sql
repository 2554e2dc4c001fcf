with exclusions as (

    select * from {{ source('segment_state', 'exclusions') }}

),

final as (

    select
        cast(segment as {{ type_string() }}) as segment,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(excluded_by as {{ type_string() }}) as excluded_by,
        cast(excluded_until as date) as excluded_until,
        cast(reason as {{ type_string() }}) as reason,
        {{ as_of_date() }} as as_of_date
    from exclusions

)

select * from final
