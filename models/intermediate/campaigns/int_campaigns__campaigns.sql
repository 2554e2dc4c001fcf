with campaigns as (

    select * from {{ ref('int_canonical__campaigns') }}
    where row_status = 'current'

),

assignments as (

    select * from {{ ref('int_canonical__campaign_assignments') }}
    where row_status = 'current' and not is_after_as_of

),

interactions as (

    select * from {{ ref('int_canonical__interactions') }}
    where row_status = 'current' and not is_after_as_of

),

-- a campaign may be named before its own row arrives: nobody who was assigned to it gets lost
named as (

    select
        system,
        campaign_id
    from assignments
    union
    select
        system,
        campaign_id
    from interactions
    where campaign_id is not null

),

unknown as (

    select
        named.system,
        named.campaign_id
    from named
    left join campaigns
        on named.system = campaigns.system and named.campaign_id = campaigns.campaign_id
    where campaigns.campaign_id is null

),

unioned as (

    select
        system,
        campaign_id,
        name as campaign_name,
        lower(goal) as goal,
        lower(channel) as channel,
        started_at,
        ended_at,
        true as is_known
    from campaigns
    where not is_after_as_of
    union all
    select
        system,
        campaign_id,
        null as campaign_name,
        null as goal,
        null as channel,
        null as started_at,
        null as ended_at,
        false as is_known
    from unknown

),

final as (

    select
        cast(system || ':' || campaign_id as {{ type_string() }}) as campaign_key,
        cast(system as {{ type_string() }}) as system,
        cast(campaign_id as {{ type_string() }}) as campaign_id,
        cast(campaign_name as {{ type_string() }}) as campaign_name,
        cast(goal as {{ type_string() }}) as goal,
        cast(channel as {{ type_string() }}) as channel,
        cast(started_at as timestamp) as started_at,
        cast(ended_at as timestamp) as ended_at,
        {{ add_days(business_date('ended_at'), var('campaign_window_days')) }} as window_end_date,
        cast(is_known as boolean) as is_known
    from unioned

)

select * from final
