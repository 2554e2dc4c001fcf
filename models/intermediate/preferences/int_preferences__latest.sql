with stated as (

    select * from {{ ref('int_preferences__stated') }}
    where is_readable

),

ranked as (

    select
        *,
        row_number() over (
            partition by customer_key, preference
            order by stated_at desc nulls last, created_at desc nulls last, node_key asc
        ) as place
    from stated

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(preference as {{ type_string() }}) as preference,
        cast(preference_type as {{ type_string() }}) as preference_type,
        cast(stated_value as {{ type_string() }}) as stated_value,
        cast(stated_at as timestamp) as stated_at
    from ranked
    where place = 1

)

select * from final
