with interactions as (

    select * from {{ ref('int_canonical__interactions') }}
    where row_status = 'current' and not is_after_as_of and campaign_id is not null

),

campaigns as (

    select * from {{ ref('int_campaigns__campaigns') }}

),

windows as (

    select * from {{ ref('attribution_windows') }}

),

-- machines open and click too, and earn nothing
human as (

    select
        interactions.system,
        interactions.event_id,
        interactions.campaign_id,
        interactions.occurred_at,
        interactions.event_date,
        lower(trim(interactions.channel)) as channel,
        lower(trim(interactions.{{ adapter.quote('type') }})) as touch_type,
        {{ customer_key_of() }} as customer_key
    from interactions
    {{ join_customers('interactions') }}
    where not coalesce(interactions.is_bot, false)

),

final as (

    select
        cast(human.system || ':' || human.event_id as {{ type_string() }}) as touch_key,
        cast(campaigns.campaign_key as {{ type_string() }}) as campaign_key,
        cast(human.customer_key as {{ type_string() }}) as customer_key,
        cast(human.channel as {{ type_string() }}) as channel,
        cast(human.touch_type as {{ type_string() }}) as touch_type,
        cast(human.occurred_at as timestamp) as touched_at,
        cast(human.event_date as date) as touch_date,
        cast({{ add_hours('human.occurred_at', 'windows.window_hours') }} as timestamp) as credit_until
    from human
    inner join campaigns
        on human.system = campaigns.system and human.campaign_id = campaigns.campaign_id
    inner join windows
        on human.channel = windows.channel and human.touch_type = windows.{{ adapter.quote('type') }}
    where human.customer_key is not null

)

select * from final
