-- The one event log: what the systems logged, and for subscriptions without a log what their row told when it was first
-- seen and how it changed since. Each has its place: time, then sequence, then the order of the vocabulary, then the
-- key; the order of arrival plays no part.
with logged_events as (

    select * from {{ ref('int_subscriptions__logged_events') }}

),

inferred_events as (

    select * from {{ ref('int_subscriptions__inferred_events') }}

),

observed_events as (

    select * from {{ ref('int_subscriptions__observed_events') }}

),

every_event as (

    select * from logged_events
    union all
    select * from inferred_events
    union all
    select * from observed_events

),

final as (

    select
        subscription_key,
        event_key,
        event_type,
        occurred_at,
        sequence,
        effective_at,
        plan_id,
        price,
        billing_interval,
        interval_count,
        quantity,
        reason,
        is_inferred,
        cast(row_number() over (
            partition by subscription_key
            order by
                occurred_at asc,
                case when is_inferred then 0 else 1 end asc,
                sequence asc nulls last,
                {{ subscription_event_rank('event_type') }} asc,
                event_key asc
        ) as bigint) as place
    from every_event

)

select * from final
