{#- What becomes of pauses: saved (resumed) against lost (ended while paused), by planned length and reason. Rates are
    of pauses that are over: whoever is still paused has not decided. -#}
{%- set cuts = {
    'all': "'all'",
    'reason': "coalesce(reason, 'none given')",
    'planned_length': 'planned_length',
    'plan': "coalesce(plan, 'none')",
} -%}
-- sqlfluff:indentation:template_blocks_indent:false
with pauses as (

    select * from {{ ref('subscription_pauses') }}

),

grouped as (

    select
        *,
        case
            when planned_days is null then 'open end'
            when planned_days <= 30 then 'up to 30 days'
            when planned_days <= 60 then '31 to 60 days'
            else 'over 60 days'
        end as planned_length
    from pauses

),

outcomes as (
    {% for cut, value in cuts.items() %}
    select
        '{{ cut }}' as cut,
        {{ value }} as cut_value,
        outcome,
        days_paused,
        mrr_at_pause,
        is_paused_too_long
    from grouped
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

counted as (

    select
        cut,
        cut_value,
        count(*) as pauses,
        sum(case when outcome = 'resumed' then 1 else 0 end) as resumed,
        sum(case when outcome = 'cancelled' then 1 else 0 end) as lost,
        sum(case when outcome = 'paused' then 1 else 0 end) as still_paused,
        sum(case when is_paused_too_long then 1 else 0 end) as paused_too_long,
        sum(case when outcome = 'resumed' then days_paused else 0 end) as days_to_resume,
        sum(case when outcome = 'resumed' then coalesce(mrr_at_pause, 0) else 0 end) as mrr_saved,
        sum(case when outcome = 'cancelled' then coalesce(mrr_at_pause, 0) else 0 end) as mrr_lost
    from outcomes
    group by cut, cut_value

),

final as (

    select
        cast(cut as {{ type_string() }}) as cut,
        cast(cut_value as {{ type_string() }}) as cut_value,
        cast(pauses as bigint) as pauses,
        cast(resumed as bigint) as resumed,
        cast(lost as bigint) as lost,
        cast(still_paused as bigint) as still_paused,
        cast(paused_too_long as bigint) as paused_too_long,
        cast(days_to_resume as bigint) as days_to_resume,
        {{ ratio('resumed', 'resumed + lost') }} as resume_rate,
        {{ ratio('days_to_resume', 'resumed') }} as mean_days_to_resume,
        cast(mrr_saved as {{ type_money() }}) as mrr_saved,
        cast(mrr_lost as {{ type_money() }}) as mrr_lost
    from counted

)

select * from final
