{#- Reached once and for ever: money given back later takes no milestone away. -#}
{%- set joined, today = 'goals.joined_on', as_of_date() -%}
{%- set calendar_months = months_between(joined, today) -%}
{#- the month that has begun isn't over before its day -#}
{%- set begun_month = "case when " ~ add_months(joined, calendar_months) ~ " > " ~ today ~ " then 1 else 0 end" -%}
{%- set days_so_far, days_in_all = days_between(joined, today), days_between(joined, 'goals.anniversary') -%}
with members as (

    select * from {{ source('loyalty', 'members') }}

),

progress as (

    select * from {{ ref('int_loyalty__progress') }}

),

milestones as (

    select * from {{ ref('loyalty_milestones') }}

),

standing as (

    select
        customer_key,
        basis,
        reached,
        row_number() over (partition by customer_key, basis order by progress_date desc) as recency
    from progress

),

goals as (

    select
        members.customer_key,
        members.audience,
        members.joined_on,
        milestones.milestone,
        milestones.basis,
        milestones.threshold,
        {{ add_months('members.joined_on', '12 * milestones.threshold') }} as anniversary
    from members
    inner join milestones on members.audience = milestones.audience

),

first_days as (

    select
        goals.customer_key,
        goals.milestone,
        min(progress.progress_date) as reached_on
    from goals
    inner join progress
        on
            goals.customer_key = progress.customer_key
            and goals.basis = progress.basis
            and goals.threshold <= progress.reached
    group by goals.customer_key, goals.milestone

),

measured as (

    select
        goals.customer_key,
        goals.milestone,
        goals.basis,
        goals.threshold,
        case
            when goals.basis != 'years' then first_days.reached_on
            when goals.anniversary <= {{ as_of_date() }} then goals.anniversary
        end as reached_on,
        case
            when goals.basis = 'years'
                then {{ integer_divide(calendar_months ~ " - " ~ begun_month, 12) }}
            else coalesce(standing.reached, 0)
        end as current_value,
        case
            when goals.basis = 'years'
                then {{ ratio(days_so_far, days_in_all) }}
            else {{ ratio('coalesce(standing.reached, 0)', 'goals.threshold') }}
        end as share_reached
    from goals
    left join first_days
        on goals.customer_key = first_days.customer_key and goals.milestone = first_days.milestone
    left join standing
        on goals.customer_key = standing.customer_key and goals.basis = standing.basis and standing.recency = 1

),

judged as (

    select
        *,
        case
            when reached_on is not null then cast(1 as {{ type_double() }})
            else greatest(least(share_reached, 1), 0)
        end as progress,
        case when reached_on is not null then 0 else greatest(threshold - current_value, 0) end as remaining
    from measured

),

ranked as (

    select
        *,
        row_number() over (
            partition by customer_key, reached_on is null order by progress desc, threshold asc, milestone asc
        ) as nearness,
        row_number() over (
            partition by customer_key, reached_on is null
            order by reached_on desc nulls last, threshold desc, milestone asc
        ) as recency
    from judged

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(milestone as {{ type_string() }}) as milestone,
        cast(basis as {{ type_string() }}) as basis,
        cast(threshold as {{ type_money() }}) as threshold,
        cast(current_value as {{ type_money() }}) as current_value,
        cast(remaining as {{ type_money() }}) as remaining,
        cast(progress as {{ type_double() }}) as progress,
        cast(reached_on as date) as reached_on,
        reached_on is not null and recency = 1 as is_latest_reached,
        reached_on is null and nearness = 1 as is_next
    from ranked

)

select * from final
