{#- What the table of subscriptions said, version by version, with what it said before and after. Days are closes of
    business days; `previous_day` is the last day on which anything was seen to change, so surely one on which the
    table was looked at. -#}
{%- set said = [
    'plan_id', 'price', 'billing_interval', 'interval_count', 'quantity', 'discount_amount', 'discount_percent',
    'discount_duration', 'discount_ends_at', 'trial_end', 'pause_start', 'pause_end', 'cancel_at',
] -%}
-- sqlfluff:indentation:template_blocks_indent:false
with history as (

    select * from {{ ref('subscriptions_history') }}
    where cast(dbt_valid_from as date) <= {{ as_of_date() }}

),

landed as (

    select distinct system || ':' || subscription_id as subscription_key
    from {{ ref('int_canonical__subscriptions') }}

),

observed_days as (

    select distinct cast(dbt_valid_from as date) as observed_day from history

),

days as (

    select
        observed_day,
        lag(observed_day) over (order by observed_day) as previous_day
    from observed_days

),

dated as (

    select
        history.*,
        landed.subscription_key is null as is_not_landed,
        days.observed_day,
        days.previous_day,
        case
            when cast(history.dbt_valid_to as date) <= {{ as_of_date() }} then cast(history.dbt_valid_to as date)
        end as until_day,
        -- a status that nobody knows is taken for active, as for the row of today
        case
            when history.today_status in ({{ live_states() }}, {{ ended_states() }}) then history.today_status
            else 'active'
        end as status
    from history
    inner join days on cast(history.dbt_valid_from as date) = days.observed_day
    left join landed on history.subscription_key = landed.subscription_key

),

numbered as (

    select
        *,
        row_number() over (partition by subscription_key order by observed_day) as version_number,
        lead(observed_day) over (partition by subscription_key order by observed_day) as next_day,
        lead(status) over (partition by subscription_key order by observed_day) as next_status,
        lead(pause_end) over (partition by subscription_key order by observed_day) as next_pause_end,
        {%- for column in said %}
        lag({{ column }}) over (partition by subscription_key order by observed_day) as {{ column }}_before,
        {%- endfor %}
        lag(status) over (partition by subscription_key order by observed_day) as status_before
    from dated

),

final as (

    select
        subscription_key,
        system,
        subscription_id,
        customer_id,
        cast(version_number as integer) as version_number,
        observed_day,
        {{ business_instant('observed_day') }} as observed_from,
        previous_day,
        until_day,
        next_day,
        -- a row that came back was never gone, and one that can't be read today isn't; looking back, what is missing
        -- from today's table may still have been there
        next_day is null and is_not_landed as is_missing,
        next_day is null and is_not_landed and until_day is not null as is_gone,
        today_status,
        cast(status as {{ type_string() }}) as status,
        cast(status_before as {{ type_string() }}) as status_before,
        -- dates that passed without effect, as a later look shows: still paused, still alive, still not paused
        coalesce(
            status = 'paused'
            and next_status = 'paused'
            and (next_pause_end is null or {{ business_date('pause_end') }} < next_day),
            false
        ) as is_pause_outlived,
        coalesce(
            next_status = 'expired'
            or (next_status in ({{ live_states() }}) and {{ business_date('cancel_at') }} < next_day),
            false
        ) as is_cancellation_outlived,
        coalesce(
            next_status in ('trialing', 'active', 'past_due') and {{ business_date('pause_start') }} < next_day, false
        ) as is_pause_schedule_outlived,
        {%- for column in said %}
        {{ column }},
        {{ column }}_before,
        {%- endfor %}
        currency,
        started_at,
        cancelled_at,
        ended_at,
        updated_at,
        cancel_reason
    from numbered

)

select * from final
