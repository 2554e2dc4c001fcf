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

experiments as (

    select * from {{ source('experiments', 'assignments') }}
    where {{ business_date('assigned_at') }} <= {{ as_of_date() }}

),

definitions as (

    select * from {{ source('experiments', 'definitions') }}

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

begun_experiments as (

    select
        experiment,
        min(assigned_at) as started_at
    from experiments
    group by experiment

),

defined_experiments as (

    select
        experiment,
        min(segment) as segment,
        min(metric) as metric,
        max(end_date) as end_date
    from definitions
    group by experiment

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
        {{ business_date('ended_at') }} as end_date,
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
        null as end_date,
        false as is_known
    from unknown
    union all
    select
        'ritorno' as system,
        begun_experiments.experiment as campaign_id,
        coalesce(defined_experiments.segment, begun_experiments.experiment) as campaign_name,
        lower(defined_experiments.metric) as goal,
        null as channel,
        begun_experiments.started_at,
        null as ended_at,
        defined_experiments.end_date,
        defined_experiments.experiment is not null as is_known
    from begun_experiments
    left join defined_experiments
        on begun_experiments.experiment = defined_experiments.experiment

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
        cast(end_date as date) as end_date,
        {{ add_days('end_date', var('campaign_window_days')) }} as window_end_date,
        cast(is_known as boolean) as is_known
    from unioned

)

select * from final
