-- Logged events that say something impossible: they change nothing and are listed with the reason.
with lives as (

    select * from {{ ref('int_subscriptions__lives') }}
    where outcome = 'quarantined'

),

steps as (

    select * from {{ ref('int_subscriptions__steps') }}
    where outcome = 'quarantined'

),

logged_events as (

    select * from {{ ref('int_subscriptions__logged_events') }}

),

gathered as (

    select
        subscription_key,
        event_key,
        event_type,
        happened_at,
        obstacle
    from lives
    union all
    select
        subscription_key,
        event_key,
        event_type,
        happened_at,
        obstacle
    from steps

),

final as (

    select
        gathered.subscription_key,
        gathered.event_key,
        gathered.event_type,
        gathered.happened_at as occurred_at,
        gathered.obstacle as reason
    from gathered
    inner join logged_events on gathered.event_key = logged_events.event_key

)

select * from final
