{{ config(
    materialized='touched', unique_key='subscription_key',
    meta={'touched_by': 'int_changes__subscriptions', 'decided_by': 'int_changes__subscription_run'}
) }}
-- The event log as the source systems keep it, up to as-of, in one vocabulary. A cancellation that names a later day is
-- a scheduled one; a schedule for a time that has come is no schedule.
-- depends_on: {{ ref('int_changes__subscription_run') }}
with events as (

    select * from {{ ref('int_canonical__subscription_events') }}
    where row_status = 'current' and not is_after_as_of
    {{ only_listed("system || ':' || subscription_id", 'int_changes__subscriptions', 'and', 'subscription_key') }}

),

accounts as (

    select * from {{ ref('int_subscriptions__accounts') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

spelled as (

    select
        *,
        system || ':' || subscription_id as subscription_key,
        case lower(trim({{ adapter.quote('type') }}))
            when 'canceled' then 'cancelled'
            else lower(trim({{ adapter.quote('type') }}))
        end as spelled_type
    from events

),

final as (

    select
        spelled.subscription_key,
        cast(spelled.system || ':' || spelled.event_id as {{ type_string() }}) as event_key,
        cast(case
            when spelled.spelled_type = 'cancelled' and spelled.effective_at > spelled.occurred_at
                then 'cancel_scheduled'
            when spelled.spelled_type = 'cancel_scheduled' and spelled.effective_at <= spelled.occurred_at
                then 'cancelled'
            when spelled.spelled_type = 'pause_scheduled' and spelled.effective_at <= spelled.occurred_at then 'paused'
            else spelled.spelled_type
        end as {{ type_string() }}) as event_type,
        spelled.occurred_at,
        spelled.sequence,
        case when spelled.effective_at > spelled.occurred_at then spelled.effective_at end as effective_at,
        spelled.plan_id,
        spelled.price,
        cast(lower(trim(spelled.{{ adapter.quote('interval') }})) as {{ type_string() }}) as billing_interval,
        spelled.interval_count,
        spelled.quantity,
        cast(spelled.discount_amount as {{ type_price() }}) as discount_amount,
        cast(spelled.discount_percent as {{ type_price() }}) as discount_percent,
        cast(lower(trim(spelled.discount_duration)) as {{ type_string() }}) as discount_duration,
        spelled.discount_ends_at,
        spelled.reason,
        false as is_inferred
    from spelled
    inner join accounts on spelled.subscription_key = accounts.subscription_key

)

select * from final
