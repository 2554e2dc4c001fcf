{#- What today's row tells of a subscription without a log: when it began, its trial, the present pause, the end that is
    scheduled or has come. A log that doesn't begin gets its beginning from the row. Everything at today's terms. -#}
{%- set columns = "subscription_key, event_type, occurred_at, effective_at, reason" -%}
-- sqlfluff:indentation:template_blocks_indent:false
with accounts as (

    select * from {{ ref('int_subscriptions__accounts') }}

),

logged_events as (

    select * from {{ ref('int_subscriptions__logged_events') }}

),

logs as (

    select
        subscription_key,
        min(occurred_at) as first_logged_at,
        max(case when event_type in ({{ starting_events() }}) then 1 else 0 end) as has_start
    from logged_events
    group by subscription_key

),

-- the row was read when it was last updated: a pause's end that had passed by then did not end it
unlogged as (

    select
        accounts.*,
        case
            when accounts.today_status = 'paused'
                then coalesce(accounts.pause_start, accounts.updated_at, accounts.started_at)
            when accounts.pause_start > accounts.updated_at or accounts.pause_end is not null then accounts.pause_start
        end as pause_from,
        case
            when accounts.today_status = 'paused' and accounts.pause_end <= accounts.updated_at then null
            else accounts.pause_end
        end as pause_until,
        case
            when accounts.today_status in ({{ ended_states() }})
                then coalesce(
                    accounts.ended_at,
                    accounts.cancel_at,
                    accounts.cancelled_at,
                    accounts.updated_at,
                    accounts.started_at
                )
            else accounts.ended_at
        end as end_from
    from accounts
    left join logs on accounts.subscription_key = logs.subscription_key
    where logs.subscription_key is null

),

starts as (

    select
        subscription_key,
        case when trial_end > started_at then 'trial_started' else 'activated' end as event_type,
        started_at as occurred_at,
        case when trial_end > started_at then trial_end end as effective_at,
        cast(null as {{ type_string() }}) as reason
    from unlogged

),

missing_starts as (

    select
        accounts.subscription_key,
        'activated' as event_type,
        least(accounts.started_at, logs.first_logged_at) as occurred_at,
        cast(null as timestamp) as effective_at,
        cast(null as {{ type_string() }}) as reason
    from accounts
    inner join logs on accounts.subscription_key = logs.subscription_key
    where logs.has_start = 0

),

conversions as (

    select
        subscription_key,
        'activated' as event_type,
        trial_end as occurred_at,
        cast(null as timestamp) as effective_at,
        cast(null as {{ type_string() }}) as reason
    from unlogged
    where trial_end > started_at and today_status != 'trialing' and (end_from is null or end_from > trial_end)

),

failures as (

    select
        subscription_key,
        'payment_failed' as event_type,
        greatest(coalesce(updated_at, started_at), started_at) as occurred_at,
        cast(null as timestamp) as effective_at,
        cast(null as {{ type_string() }}) as reason
    from unlogged
    where today_status = 'past_due'

),

pauses as (

    select
        subscription_key,
        'paused' as event_type,
        greatest(pause_from, started_at) as occurred_at,
        case when pause_until > greatest(pause_from, started_at) then pause_until end as effective_at,
        cast(null as {{ type_string() }}) as reason
    from unlogged
    where pause_from is not null

),

scheduled_ends as (

    select
        subscription_key,
        'cancel_scheduled' as event_type,
        cancel_at as effective_at,
        cancel_reason as reason,
        case
            when cancelled_at > started_at and cancelled_at < cancel_at then cancelled_at
            else started_at
        end as occurred_at
    from unlogged
    where end_from is null and cancel_at > started_at

),

ends as (

    select
        subscription_key,
        cancel_reason as reason,
        cast(null as timestamp) as effective_at,
        case when today_status = 'expired' then 'expired' else 'cancelled' end as event_type,
        greatest(end_from, started_at) as occurred_at
    from unlogged
    where end_from is not null

),

gathered as (
    {% for source in ['starts', 'missing_starts', 'conversions', 'failures', 'pauses', 'scheduled_ends', 'ends'] %}
    select {{ columns }} from {{ source }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

final as (

    select
        gathered.subscription_key,
        cast(gathered.subscription_key || ':inferred:' || gathered.event_type || case
            when gathered.event_type = 'activated' and gathered.occurred_at > accounts.started_at then ':trial' else ''
        end as {{ type_string() }}) as event_key,
        cast(gathered.event_type as {{ type_string() }}) as event_type,
        gathered.occurred_at,
        -- before whatever the log says of the same instant
        cast(null as bigint) as sequence,
        gathered.effective_at,
        accounts.plan_id,
        accounts.price,
        accounts.billing_interval,
        accounts.interval_count,
        accounts.quantity,
        gathered.reason,
        true as is_inferred
    from gathered
    inner join accounts on gathered.subscription_key = accounts.subscription_key
    where {{ business_date('gathered.occurred_at') }} <= {{ as_of_date() }}

)

select * from final
