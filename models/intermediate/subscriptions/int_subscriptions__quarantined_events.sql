-- Logged events that say something impossible: they change nothing and are listed with the reason.
with lives as (

    select * from {{ ref('int_subscriptions__lives') }}
    where outcome = 'quarantined'

),

steps as (

    select * from {{ ref('int_subscriptions__steps') }}
    where outcome = 'quarantined'

),

gathered as (

    select
        subscription_key,
        event_key,
        event_type,
        happened_at,
        obstacle,
        is_inferred
    from lives
    union all
    select
        subscription_key,
        event_key,
        event_type,
        happened_at,
        obstacle,
        is_inferred
    from steps

),

final as (

    select
        subscription_key,
        event_key,
        event_type,
        happened_at as occurred_at,
        obstacle as reason
    from gathered
    where not is_inferred

)

select * from final
