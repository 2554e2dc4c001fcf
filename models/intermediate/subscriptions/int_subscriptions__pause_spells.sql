{{ config(
    materialized='touched', unique_key='subscription_key',
    meta={'touched_by': 'int_changes__subscriptions', 'decided_by': 'int_changes__subscription_run'}
) }}
-- Pauses: from the step that begins one to the step that ends it, or the life.
with steps as (

    select * from {{ ref('int_subscriptions__steps') }}
    where outcome != 'quarantined'
    {{ only_listed('subscription_key', 'int_changes__subscriptions', 'and') }}

),

numbered as (

    select
        *,
        is_paused and not was_paused as begins_pause,
        sum(case when is_paused and not was_paused then 1 else 0 end) over (
            partition by subscription_key order by step rows between unbounded preceding and current row
        ) as pause_number
    from steps

),

-- the steps of a pause and the one that ends it; what it was expected to last is what was said last
spells as (

    select
        subscription_key,
        pause_number,
        min(case when begins_pause then life_number end) as life_number,
        min(case when begins_pause then happened_at end) as paused_at,
        min(case when begins_pause then step end) as first_step,
        min(case when was_paused and not is_paused then step end) as last_step,
        max(case when event_type = 'paused' and effective_at is not null then step end) as dated_step
    from numbered
    where pause_number > 0 and (begins_pause or was_paused)
    group by subscription_key, pause_number

),

final as (

    select
        spells.subscription_key,
        cast(spells.pause_number as integer) as pause_number,
        cast(spells.life_number as integer) as life_number,
        spells.paused_at,
        closing.happened_at as ended_at,
        cast(case
            when closing.step is null then 'paused'
            when closing.event_type in ({{ ended_states() }}) then 'cancelled'
            else 'resumed'
        end as {{ type_string() }}) as outcome,
        coalesce(closing.is_timer and closing.event_type = 'resumed', false) as resumed_on_date,
        dated.effective_at as expected_resume_at,
        opening.reason,
        opening.is_inferred
    from spells
    inner join steps as opening
        on spells.subscription_key = opening.subscription_key and spells.first_step = opening.step
    left join steps as closing
        on spells.subscription_key = closing.subscription_key and spells.last_step = closing.step
    left join steps as dated
        on spells.subscription_key = dated.subscription_key and spells.dated_step = dated.step
    where closing.happened_at is null or closing.happened_at > spells.paused_at

)

select * from final
