{{ config(
    materialized='touched', unique_key='subscription_key',
    meta={'touched_by': 'int_changes__subscriptions', 'decided_by': 'int_changes__subscription_run'}
) }}
{#- What the row of a subscription without a log told when the table was first looked at: when it began, its trial, the
    pause of that day, the end that was scheduled or had come; at that day's terms, and inferred unless it began on that
    very day. From then on int_subscriptions__observed_events tells. A log that doesn't begin gets its beginning from
    today's row. -#}
{%- set columns = "subscription_key, event_type, occurred_at, effective_at, reason" -%}
{%- set terms = [
    'plan_id', 'price', 'billing_interval', 'interval_count', 'quantity', 'discount_amount', 'discount_percent',
    'discount_duration', 'discount_ends_at',
] -%}
-- sqlfluff:indentation:template_blocks_indent:false
with accounts as (

    select * from {{ ref('int_subscriptions__accounts') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

versions as (

    select * from {{ ref('int_subscriptions__versions') }}
    where version_number = 1
    {{ only_listed('subscription_key', 'int_changes__subscriptions', 'and') }}

),

logged_events as (

    select * from {{ ref('int_subscriptions__logged_events') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

logs as (

    select
        subscription_key,
        min(occurred_at) as first_logged_at,
        max(case when event_type in ({{ starting_events() }}) then 1 else 0 end) as has_start
    from logged_events
    group by subscription_key

),

-- the row was read when it was last updated: a pause's end that had passed by then did not end it, nor did one that a
-- later look at the table disproves
unlogged as (

    select
        versions.*,
        {{ business_date('versions.started_at') }} = versions.observed_day as is_seen_from_start,
        case
            when versions.status = 'paused'
                then coalesce(versions.pause_start, versions.updated_at, versions.started_at)
            when versions.pause_start > versions.updated_at or versions.pause_end is not null then versions.pause_start
        end as pause_from,
        case
            when versions.status = 'paused' and versions.pause_end <= versions.updated_at then null
            when versions.is_pause_outlived then null
            else versions.pause_end
        end as pause_until,
        case when not versions.is_cancellation_outlived then versions.cancel_at end as leaves_at,
        case
            when versions.status in ({{ ended_states() }})
                then coalesce(
                    versions.ended_at,
                    versions.cancel_at,
                    versions.cancelled_at,
                    versions.updated_at,
                    versions.started_at
                )
            else versions.ended_at
        end as end_from,
        case
            when versions.trial_end > versions.started_at
                then least(versions.trial_end, greatest(versions.observed_from, versions.started_at))
            else versions.started_at
        end as first_charged_at
    from versions
    left join logs on versions.subscription_key = logs.subscription_key
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
        case
            when status = 'paused' then trial_end
            else least(trial_end, greatest(observed_from, started_at))
        end as occurred_at,
        cast(null as timestamp) as effective_at,
        cast(null as {{ type_string() }}) as reason
    from unlogged
    where
        trial_end > started_at
        and status != 'trialing'
        and (end_from is null or end_from > trial_end)
        -- whose first charge failed was never converted
        and (status != 'past_due' or updated_at > trial_end)

),

failures as (

    select
        subscription_key,
        'payment_failed' as event_type,
        greatest(coalesce(updated_at, first_charged_at), started_at) as occurred_at,
        cast(null as timestamp) as effective_at,
        cast(null as {{ type_string() }}) as reason
    from unlogged
    where status = 'past_due'

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
        leaves_at as effective_at,
        cancel_reason as reason,
        case
            when cancelled_at > started_at and cancelled_at < leaves_at then cancelled_at
            else started_at
        end as occurred_at
    from unlogged
    where end_from is null and leaves_at > started_at

),

ends as (

    select
        subscription_key,
        cancel_reason as reason,
        cast(null as timestamp) as effective_at,
        case when status = 'expired' then 'expired' else 'cancelled' end as event_type,
        greatest(end_from, started_at) as occurred_at
    from unlogged
    where end_from is not null

),

-- nothing happened on the day of the first look, but what is told from then on is seen
first_looks as (

    select
        subscription_key,
        'observed' as event_type,
        observed_from as occurred_at,
        cast(null as timestamp) as effective_at,
        cast(null as {{ type_string() }}) as reason
    from unlogged
    where status in ({{ live_states() }}) and {{ business_date('started_at') }} < observed_day

),

gathered as (
    {% for source in [
        'starts', 'missing_starts', 'conversions', 'failures', 'pauses', 'scheduled_ends', 'ends', 'first_looks'
    ] %}
    select {{ columns }} from {{ source }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

terms as (

    select
        accounts.subscription_key,
        accounts.started_at,
        {%- for column in terms %}
        case
            when logs.subscription_key is null then versions.{{ column }} else accounts.{{ column }}
        end as {{ column }},
        {%- endfor %}
        logs.subscription_key is null
        and {{ business_date('versions.started_at') }} = versions.observed_day as is_seen_from_start
    from accounts
    left join versions on accounts.subscription_key = versions.subscription_key
    left join logs on accounts.subscription_key = logs.subscription_key

),

final as (

    select
        gathered.subscription_key,
        cast(gathered.subscription_key || ':inferred:' || gathered.event_type || case
            when gathered.event_type = 'activated' and gathered.occurred_at > terms.started_at then ':trial' else ''
        end as {{ type_string() }}) as event_key,
        cast(gathered.event_type as {{ type_string() }}) as event_type,
        gathered.occurred_at,
        -- before whatever the log says of the same instant
        cast(null as bigint) as sequence,
        gathered.effective_at,
        {%- for column in terms %}
        terms.{{ column }},
        {%- endfor %}
        gathered.reason,
        not terms.is_seen_from_start and gathered.event_type != 'observed' as is_inferred
    from gathered
    inner join terms on gathered.subscription_key = terms.subscription_key
    where {{ business_date('gathered.occurred_at') }} <= {{ as_of_date() }}

)

select * from final
