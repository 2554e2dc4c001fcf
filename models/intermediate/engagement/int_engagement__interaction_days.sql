with interactions as (

    select * from {{ ref('int_canonical__interactions') }}
    where row_status = 'current' and not is_after_as_of

),

final as (

    select distinct
        cast({{ customer_key_of() }} as {{ type_string() }}) as customer_key,
        cast(interactions.event_date as date) as interaction_date
    from interactions
    {{ join_customers('interactions') }}
    where
        {{ customer_key_of() }} is not null
        and (
            lower(interactions.{{ adapter.quote('type') }}) in ('visited', 'session', 'push_opened')
            -- machines open and click too
            or (
                lower(interactions.{{ adapter.quote('type') }}) in ('opened', 'clicked')
                and not coalesce(interactions.is_bot, false)
            )
        )

)

select * from final
