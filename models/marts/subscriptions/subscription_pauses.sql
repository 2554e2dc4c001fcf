with spells as (

    select * from {{ ref('int_subscriptions__pause_spells') }}

),

accounts as (

    select * from {{ ref('int_subscriptions__accounts') }}

),

intervals as (

    select * from {{ ref('int_subscriptions__intervals') }}

),

joined as (

    select
        spells.*,
        accounts.customer_key,
        {{ business_date('spells.paused_at') }} as paused_date,
        {{ business_date('spells.ended_at') }} as ended_date,
        {{ business_date('spells.expected_resume_at') }} as expected_resume_date,
        -- revenue at pause: what the first interval of the pause holds back
        {% if var('paused_in_mrr') %}intervals.mrr{% else %}intervals.paused_mrr{% endif %} as mrr_at_pause,
        intervals.plan_id
    from spells
    inner join accounts on spells.subscription_key = accounts.subscription_key
    -- an open end is a date later than any: with an "or" DuckDB compares every pause with every interval
    left join intervals
        on
            spells.subscription_key = intervals.subscription_key
            and spells.paused_at >= intervals.valid_from
            and spells.paused_at < coalesce(intervals.valid_to, cast('9999-12-31' as timestamp))

),

final as (

    select
        cast(subscription_key as {{ type_string() }}) as subscription_key,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(pause_number as integer) as pause_number,
        cast(paused_at as timestamp) as paused_at,
        cast(paused_date as date) as paused_date,
        cast(ended_at as timestamp) as ended_at,
        cast(ended_date as date) as ended_date,
        cast(outcome as {{ type_string() }}) as outcome,
        cast(resumed_on_date as boolean) as resumed_on_date,
        cast(expected_resume_date as date) as expected_resume_date,
        cast(
            {{ days_between('paused_date', 'coalesce(ended_date, ' ~ as_of_date() ~ ')') }} as integer
        ) as days_paused,
        cast({{ days_between('paused_date', 'expected_resume_date') }} as integer) as planned_days,
        cast(reason as {{ type_string() }}) as reason,
        cast(plan_id as {{ type_string() }}) as plan,
        cast(mrr_at_pause as {{ type_money() }}) as mrr_at_pause,
        -- a pause without an end is never due
        outcome = 'paused'
        and coalesce(expected_resume_date between {{ as_of_date() }} and {{ add_days(as_of_date(), 7) }}, false)
            as is_due_within_7_days,
        outcome = 'paused'
        and {{ days_between('paused_date', as_of_date()) }} > {{ var('pause_at_risk_after_days') }}
            as is_paused_too_long,
        cast(is_inferred as boolean) as is_inferred
    from joined

)

select * from final
