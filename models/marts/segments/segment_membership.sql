with membership as (

    select * from {{ source('segment_state', 'membership') }}

),

final as (

    select
        cast(segment as {{ type_string() }}) as segment,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(entered_on as date) as entered_on,
        cast(entered_on as timestamp) as entered_at,
        cast(enter_reason as {{ type_string() }}) as enter_reason,
        cast(eligible as boolean) as eligible,
        cast(not eligible as boolean) as in_grace,
        cast(grace_until as date) as grace_until,
        cast(definition_hash as {{ type_string() }}) as definition_hash,
        cast(experiment as {{ type_string() }}) as experiment,
        cast(bucket as integer) as bucket,
        cast(arm as {{ type_string() }}) as arm,
        {{ as_of_date() }} as as_of_date
    from membership

)

select * from final
