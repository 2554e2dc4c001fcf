{#- Lifetimes and pauses as durations, for the mart survival. A lifetime ends with the first life; the plan is the one
    it began with. `ever_paused` is known only in hindsight (who lives longer has more time to pause), so read it as a
    description, not as the effect of pausing. To be cancelled competes with being resumed: such a pause is not resumed
    until as-of, so the curve falls to the share that is never resumed (Fine & Gray 1999, censoring complete: the day of
    censoring is known for all). Had it left at its end, the curve would tell the resumptions in a world without
    cancellations. -#}
{%- set cuts = {
    'subscription_lifetime': "'all'",
    'subscription_lifetime_by_plan': "coalesce(first_plan, 'none')",
    'subscription_lifetime_by_cohort': "start_month",
    'subscription_lifetime_by_ever_paused': "case when was_paused = 1 then 'paused' else 'never paused' end",
} -%}
-- sqlfluff:indentation:template_blocks_indent:false
with intervals as (

    select * from {{ ref('int_subscriptions__intervals') }}
    where life_number = 1

),

pauses as (

    select * from {{ ref('subscription_pauses') }}

),

numbered as (

    select
        *,
        row_number() over (partition by subscription_key order by valid_from) as interval_number
    from intervals

),

lifetimes as (

    select
        subscription_key,
        min(from_date) as started_date,
        min(case when state in ({{ ended_states() }}) then from_date end) as ended_date,
        max(case when interval_number = 1 then plan_id end) as first_plan,
        max(case when state = 'paused' then 1 else 0 end) as was_paused,
        substr(cast(min(from_date) as {{ type_string() }}), 1, 7) as start_month
    from numbered
    group by subscription_key

),

-- one reading of the lifetimes for each cut, and the pauses
durations as (
    {% for curve, value in cuts.items() %}
    select
        '{{ curve }}' as curve,
        {{ value }} as cut_value,
        subscription_key as subject,
        {{ days_between('started_date', "coalesce(ended_date, " ~ as_of_date() ~ ")") }} as t_days,
        ended_date is not null as is_event
    from lifetimes
    union all
    {%- endfor %}
    select
        'pause_to_resume' as curve,
        'all' as cut_value,
        subscription_key || ' ' || cast(pause_number as {{ type_string() }}) as subject,
        case
            when outcome = 'resumed' then days_paused
            else {{ days_between('paused_date', as_of_date()) }}
        end as t_days,
        outcome = 'resumed' as is_event
    from pauses

),

final as (

    select
        cast(curve as {{ type_string() }}) as curve,
        cast(cut_value as {{ type_string() }}) as cut_value,
        cast(subject as {{ type_string() }}) as subject,
        cast(t_days as integer) as t_days,
        cast(is_event as boolean) as is_event
    from durations

)

select * from final
