{{ config(
    materialized='touched', unique_key='subscription_key',
    meta={'touched_by': 'int_changes__subscriptions', 'decided_by': 'int_changes__subscription_run'}
) }}
{#- First pass: when a subscription lives. What matters is only the latest of start, end and reactivation, so one window
    decides each event: events of a life, or in between (impossible, but for reactivated), or before the start. -#}
{%- set before = 'partition by subscription_key order by moment rows between unbounded preceding and 1 preceding' -%}
with events as (

    select * from {{ ref('int_subscriptions__events') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

-- which events speak of the end, which can't be understood at all
sorted as (

    select
        *,
        event_type in ('cancel_scheduled', 'cancel_withdrawn', 'cancelled', 'expired', 'reactivated') as speaks_of_end,
        case
            when {{ subscription_event_rank('event_type') }} = 99 then 'unknown_type'
            when event_type in ('pause_scheduled', 'cancel_scheduled') and effective_at is null then 'no_effective_date'
        end as obstacle,
        sum(case when event_type in ({{ starting_events() }}) then 1 else 0 end) over (
            partition by subscription_key order by place rows between unbounded preceding and current row
        ) as starts_so_far
    from events

),

started as (

    select
        *,
        lead(occurred_at) over (partition by subscription_key, speaks_of_end order by place) as next_said_at,
        lag(event_type) over (partition by subscription_key, speaks_of_end order by place) as last_said,
        lag(effective_at) over (partition by subscription_key, speaks_of_end order by place) as last_said_for
    from sorted
    where obstacle is null and starts_so_far > 0

),

-- a scheduled cancellation takes effect on its date, unless something else was said about the end before
cancel_timers as (

    select
        subscription_key,
        event_key,
        'cancelled' as event_type,
        effective_at as happened_at,
        cast(null as timestamp) as effective_at,
        reason,
        is_inferred,
        place,
        true as is_timer,
        false as withdraws_cancellation
    from started
    where
        event_type = 'cancel_scheduled'
        and (next_said_at is null or next_said_at >= effective_at)
        and {{ business_date('effective_at') }} <= {{ as_of_date() }}

),

happenings as (

    select
        subscription_key,
        event_key,
        event_type,
        occurred_at as happened_at,
        effective_at,
        reason,
        is_inferred,
        place,
        false as is_timer,
        coalesce(
            event_type in ('reactivated', 'cancel_withdrawn')
            and last_said = 'cancel_scheduled'
            and last_said_for > occurred_at,
            false
        ) as withdraws_cancellation
    from started
    union all
    select * from cancel_timers

),

-- what was due comes before what is said in the same instant
placed as (

    select
        *,
        row_number() over (
            partition by subscription_key
            order by happened_at asc, case when is_timer then 0 else 1 end asc, place asc
        ) as moment
    from happenings

),

marked as (

    select
        *,
        case
            when moment = 1 then 1
            when event_type = 'cancelled' then 2
            when event_type = 'expired' then 3
            when event_type = 'reactivated' then 4
        end as life_code
    from placed

),

looked_back as (

    select
        *,
        coalesce({{ latest_code('moment', 'life_code', before) }}, 0) as life_code_before
    from marked

),

lives as (

    select
        *,
        sum(case
            when moment = 1 or (event_type = 'reactivated' and life_code_before in (2, 3)) then 1 else 0
        end) over (
            partition by subscription_key order by moment rows between unbounded preceding and current row
        ) as life_number
    from looked_back

),

judged as (

    select
        subscription_key,
        event_key,
        event_type,
        happened_at,
        effective_at,
        reason,
        is_inferred,
        is_timer,
        place,
        moment,
        life_number,
        withdraws_cancellation,
        case
            when life_code_before in (2, 3) and event_type != 'reactivated' then 'after_end'
            when event_type = 'reactivated' and life_code_before = 1 and not withdraws_cancellation then 'not_ended'
            when event_type = 'cancel_withdrawn' and not withdraws_cancellation then 'nothing_scheduled'
        end as obstacle,
        -- two equal events in a row are one
        coalesce(
            (event_type = 'cancelled' and life_code_before = 2)
            or (event_type = 'expired' and life_code_before = 3)
            or (event_type = 'reactivated' and life_code_before = 4 and not withdraws_cancellation),
            false
        ) as is_repeat,
        event_type = 'reactivated' and life_code_before in (2, 3) as begins_life
    from lives

),

outside as (

    select
        subscription_key,
        event_key,
        event_type,
        occurred_at as happened_at,
        effective_at,
        reason,
        is_inferred,
        false as is_timer,
        place,
        cast(null as bigint) as moment,
        0 as life_number,
        false as withdraws_cancellation,
        coalesce(obstacle, 'before_start') as obstacle,
        false as is_repeat,
        false as begins_life
    from sorted
    where obstacle is not null or starts_so_far = 0

),

gathered as (

    select * from judged
    union all
    select * from outside

),

final as (

    select
        subscription_key,
        event_key,
        event_type,
        happened_at,
        effective_at,
        reason,
        is_inferred,
        is_timer,
        place,
        cast(moment as bigint) as moment,
        cast(life_number as integer) as life_number,
        cast(case
            when is_repeat then 'repeated'
            when obstacle is not null then 'quarantined'
            else 'applied'
        end as {{ type_string() }}) as outcome,
        cast(case when not is_repeat then obstacle end as {{ type_string() }}) as obstacle,
        moment = 1 or begins_life as begins_life,
        withdraws_cancellation
    from gathered
    -- a schedule that finds its subscription ended already is no event
    where not (is_timer and obstacle is not null)

)

select * from final
