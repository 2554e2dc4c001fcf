with stays as (

    select * from {{ source('segment_state', 'history') }}

),

final as (

    select
        cast(segment as {{ type_string() }}) as segment,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(entered_on as date) as entered_on,
        cast(left_on as date) as left_on,
        cast(entered_on as timestamp) as entered_at,
        cast(left_on as timestamp) as left_at,
        cast(enter_reason as {{ type_string() }}) as enter_reason,
        cast(exit_kind as {{ type_string() }}) as exit_kind,
        cast(exit_reason as {{ type_string() }}) as exit_reason,
        cast(enter_hash as {{ type_string() }}) as definition_hash,
        cast(exit_hash as {{ type_string() }}) as exit_definition_hash
    from stays

)

select * from final
