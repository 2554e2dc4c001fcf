{{ config(
    materialized='touched', unique_key='subscription_key',
    meta={'touched_by': 'int_changes__subscriptions', 'decided_by': 'int_changes__subscription_run'}
) }}
{#- Second pass, within each life: pauses, trials, payments. Again only the latest word of each kind matters, so windows
    suffice: paused or not; trialing, active or past due underneath. Timers (a scheduled pause begins, a pause with an
    end runs out, a change of terms comes into force) fire unless something was said before, and never at or after the
    life's end. A life's end at the same instant wins, other timers come before what is said in that instant. -#}
{%- set in_life = 'partition by subscription_key, life_number order by step' -%}
{%- set so_far = in_life ~ ' rows between unbounded preceding and current row' -%}
{%- set before = in_life ~ ' rows between unbounded preceding and 1 preceding' -%}
{%- set pause_words = 'partition by subscription_key, life_number, speaks_of_pause order by moment' -%}
{%- set resume_words = 'partition by subscription_key, life_number, speaks_of_resume order by moment' -%}
with lives as (

    select * from {{ ref('int_subscriptions__lives') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

living as (

    select
        *,
        not is_timer and event_type in ('pause_scheduled', 'pause_withdrawn', 'paused', 'resumed') as speaks_of_pause,
        not is_timer
        and (event_type = 'resumed' or (event_type = 'paused' and effective_at is not null)) as speaks_of_resume,
        min(case when event_type in ({{ ended_states() }}) then happened_at end) over (
            partition by subscription_key, life_number
        ) as life_ended_at
    from lives
    where outcome = 'applied'

),

looked_around as (

    select
        *,
        lead(happened_at) over ({{ pause_words }}) as next_pause_word_at,
        lag(event_type) over ({{ pause_words }}) as last_pause_word,
        lag(effective_at) over ({{ pause_words }}) as last_pause_word_for,
        lead(happened_at) over ({{ resume_words }}) as next_resume_word_at
    from living

),

timers as (

    select
        subscription_key,
        life_number,
        event_key,
        case event_type
            when 'pause_scheduled' then 'paused'
            when 'paused' then 'resumed'
            else event_type
        end as event_type,
        effective_at as happened_at,
        cast(null as timestamp) as effective_at,
        reason,
        is_inferred,
        true as is_timer,
        case event_type when 'paused' then 1 when 'pause_scheduled' then 2 else 3 end as turn,
        place,
        false as begins_life,
        false as withdraws_pause
    from looked_around
    where
        not is_timer
        and effective_at is not null
        and {{ business_date('effective_at') }} <= {{ as_of_date() }}
        and (life_ended_at is null or effective_at < life_ended_at)
        and (
            (event_type = 'pause_scheduled' and (next_pause_word_at is null or next_pause_word_at >= effective_at))
            or (event_type = 'paused' and (next_resume_word_at is null or next_resume_word_at >= effective_at))
            or event_type in ({{ change_events() }})
        )

),

happenings as (

    select
        subscription_key,
        life_number,
        event_key,
        event_type,
        happened_at,
        effective_at,
        reason,
        is_inferred,
        is_timer,
        case when is_timer then 0 else 4 end as turn,
        place,
        begins_life,
        coalesce(
            speaks_of_pause and last_pause_word = 'pause_scheduled' and last_pause_word_for > happened_at, false
        ) as withdraws_pause
    from looked_around
    union all
    select * from timers

),

placed as (

    select
        *,
        row_number() over (partition by subscription_key order by happened_at asc, turn asc, place asc) as step
    from happenings

),

-- a trial begins a life, or follows its creation; once paid or failed there is none any more
trials_judged as (

    select
        *,
        event_type = 'trial_started'
        and coalesce(max(
            case when event_type in ('activated', 'renewed', 'payment_failed') then 1 end
        ) over ({{ before }}), 0) = 1 as is_late_trial
    from placed

),

marked as (

    select
        *,
        case
            when begins_life then 1
            when event_type = 'paused' then 2
            when event_type = 'resumed' then 3
        end as pause_code,
        -- 1 active, 2 trialing, 3 past due
        case
            when event_type = 'trial_started' and not is_late_trial then 2
            when begins_life or event_type in ('activated', 'renewed') then 1
            when event_type = 'payment_failed' then 3
        end as payment_code
    from trials_judged

),

looked_back as (

    select
        *,
        coalesce({{ latest_code('step', 'pause_code', before) }}, 0) as pause_code_before,
        coalesce({{ latest_code('step', 'pause_code', so_far) }}, 0) as pause_code_now,
        coalesce({{ latest_code('step', 'payment_code', before) }}, 0) as payment_code_before,
        coalesce({{ latest_code('step', 'payment_code', so_far) }}, 0) as payment_code_now,
        coalesce(max(case when payment_code is not null then step end) over ({{ before }}), 0) as last_payment_step,
        coalesce(
            max(case when event_type = 'payment_recovered' then step end) over ({{ before }}), 0
        ) as last_recovery_before,
        coalesce(
            max(case when event_type = 'payment_recovered' then step end) over ({{ so_far }}), 0
        ) as last_recovery_now
    from marked

),

understood as (

    select
        *,
        pause_code_before = 2 as was_paused,
        pause_code_now = 2 as is_paused,
        payment_code_before = 3 and last_recovery_before < last_payment_step as was_past_due,
        case
            when payment_code_now = 2 then 'trialing'
            -- a failure of this very step, or an earlier one that nothing has recovered
            when payment_code_now = 3 and (payment_code = 3 or last_recovery_now < last_payment_step) then 'past_due'
            else 'active'
        end as payment_state
    from looked_back

),

judged as (

    select
        *,
        case
            when is_timer then null
            when event_type = 'resumed' and not was_paused and not withdraws_pause and pause_code_before != 3
                then 'resume_without_pause'
            when event_type = 'pause_withdrawn' and not withdraws_pause then 'nothing_scheduled'
            when event_type = 'payment_recovered' and payment_code_before != 3 then 'recovered_without_failure'
            when is_late_trial then 'trial_after_payment'
        end as obstacle,
        coalesce(
            (event_type = 'resumed' and not was_paused and not withdraws_pause)
            or (event_type = 'paused' and was_paused and effective_at is null)
            or (event_type = 'payment_failed' and was_past_due)
            or (event_type = 'payment_recovered' and not was_past_due)
            or (event_type = 'created' and not begins_life),
            false
        ) as is_repeat
    from understood

),

final as (

    select
        subscription_key,
        cast(step as bigint) as step,
        life_number,
        event_key,
        event_type,
        happened_at,
        effective_at,
        reason,
        is_inferred,
        is_timer,
        begins_life,
        cast(case
            when obstacle is not null then 'quarantined'
            when is_repeat then 'repeated'
            else 'applied'
        end as {{ type_string() }}) as outcome,
        cast(obstacle as {{ type_string() }}) as obstacle,
        was_paused,
        is_paused and event_type not in ({{ ended_states() }}) as is_paused,
        cast(payment_state as {{ type_string() }}) as payment_state,
        cast(case
            when event_type in ({{ ended_states() }}) then event_type
            when is_paused then 'paused'
            else payment_state
        end as {{ type_string() }}) as state
    from judged

)

select * from final
