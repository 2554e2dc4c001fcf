{{ config(
    materialized='touched', unique_key='subscription_key',
    meta={'touched_by': 'int_changes__subscriptions', 'decided_by': 'int_changes__subscription_run'}
) }}
{#- What changed from one look at the table to the next, as the events that a log would have said. A date of the row
    itself is taken if it lies in the days since the last look, else the day it was seen: what an earlier day closed
    with stays. What happens underneath a pause (a payment that fails, a trial that ends) shows when the pause ends. -#}
{%- set terms = [
    'plan_id', 'price', 'billing_interval', 'interval_count', 'quantity', 'discount_amount', 'discount_percent',
    'discount_duration', 'discount_ends_at',
] -%}
{%- set live = 'status in (' ~ live_states() ~ ')' -%}
{%- set was_live = 'status_before in (' ~ live_states() ~ ')' -%}
{%- set unpaused = "status in ('trialing', 'active', 'past_due')" -%}
{%- set resumed_at = "coalesce(" ~ dated_since_last_look('pause_end_before') ~ ", observed_from)" -%}
{%- set tells = [
    {'type': 'plan_changed', 'when': 'is_plan_changed'},
    {'type': 'price_changed', 'when': 'is_price_changed and not is_plan_changed'},
    {'type': 'interval_changed', 'when': 'is_interval_changed and not is_price_changed and not is_plan_changed'},
    {'type': 'quantity_changed',
     'when': 'is_quantity_changed and not (is_interval_changed or is_price_changed or is_plan_changed)'},
    {'type': 'discount_changed',
     'when': 'is_discount_changed and not '
     ~ '(is_quantity_changed or is_interval_changed or is_price_changed or is_plan_changed)'},
    {'type': 'reactivated', 'when': 'was_ended and ' ~ live,
     'at': "coalesce(" ~ dated_since_last_look('started_at') ~ ", observed_from)"},
    {'type': 'resumed', 'when': "status_before = 'paused' and " ~ unpaused, 'at': resumed_at},
    {'type': 'activated', 'when': "status_before = 'paused' and status = 'active'", 'at': resumed_at},
    {'type': 'trial_started', 'when': "status_before != 'trialing' and status = 'trialing'", 'effective': 'trial_end'},
    {'type': 'activated', 'when': "status_before = 'trialing' and status = 'active'",
     'at': "coalesce(" ~ dated_since_last_look('trial_end_before') ~ ", observed_from)"},
    {'type': 'payment_recovered', 'when': "status_before = 'past_due' and status = 'active'"},
    {'type': 'payment_failed', 'when': "status_before != 'past_due' and status = 'past_due'"},
    {'type': 'paused', 'when': "status_before != 'paused' and status = 'paused'", 'effective': 'pause_until',
     'at': "coalesce(" ~ dated_since_last_look('pause_start') ~ ", observed_from)"},
    {'type': 'paused', 'when': "status_before = 'paused' and status = 'paused' and is_pause_moved",
     'effective': 'pause_until'},
    {'type': 'pause_scheduled', 'when': unpaused ~ " and is_pause_scheduled", 'effective': 'pause_start'},
    {'type': 'pause_withdrawn', 'when': unpaused ~ " and is_pause_withdrawn"},
    {'type': 'cancel_scheduled', 'when': live ~ " and is_cancel_scheduled", 'effective': 'cancel_at'},
    {'type': 'cancel_withdrawn', 'when': live ~ " and is_cancel_withdrawn"},
    {'type': 'cancelled', 'when': was_live ~ " and status = 'cancelled'", 'at': 'ends_at'},
    {'type': 'expired', 'when': was_live ~ " and status = 'expired'", 'at': 'ends_at'},
    {'type': 'cancelled', 'when': 'is_gone and ' ~ live, 'at': business_instant('until_day')},
] -%}
-- sqlfluff:indentation:template_blocks_indent:false
with versions as (

    select * from {{ ref('int_subscriptions__versions') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

accounts as (

    select * from {{ ref('int_subscriptions__accounts') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

logged_events as (

    select * from {{ ref('int_subscriptions__logged_events') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

logs as (

    select distinct subscription_key from logged_events

),

unlogged as (

    select versions.*
    from versions
    inner join accounts on versions.subscription_key = accounts.subscription_key
    left join logs on versions.subscription_key = logs.subscription_key
    where logs.subscription_key is null

),

compared as (

    select
        *,
        status_before in ({{ ended_states() }}) as was_ended,
        (version_number > 1 and (plan_id is distinct from plan_id_before)) as is_plan_changed,
        (version_number > 1 and (price is distinct from price_before)) as is_price_changed,
        (
            version_number > 1
            and (
                (billing_interval is distinct from billing_interval_before)
                or (interval_count is distinct from interval_count_before)
            )
        ) as is_interval_changed,
        (version_number > 1 and (quantity is distinct from quantity_before)) as is_quantity_changed,
        (
            version_number > 1
            and (
                (discount_amount is distinct from discount_amount_before)
                or (discount_percent is distinct from discount_percent_before)
                or (discount_duration is distinct from discount_duration_before)
                or (discount_ends_at is distinct from discount_ends_at_before)
            )
        ) as is_discount_changed,
        case
            when not is_pause_outlived and {{ business_date('pause_end') }} >= observed_day then pause_end
        end as pause_until,
        (version_number > 1 and (pause_end is distinct from pause_end_before)) as is_pause_moved,
        (
            version_number > 1
            and (pause_start is distinct from pause_start_before)
            and {{ business_date('pause_start') }} > observed_day
            and not is_pause_schedule_outlived
        ) as is_pause_scheduled,
        {{ business_date('pause_start_before') }} >= observed_day and pause_start is null as is_pause_withdrawn,
        (
            version_number > 1
            and (cancel_at is distinct from cancel_at_before)
            and {{ business_date('cancel_at') }} > observed_day
            and not is_cancellation_outlived
        ) as is_cancel_scheduled,
        {{ business_date('cancel_at_before') }} >= observed_day and cancel_at is null as is_cancel_withdrawn,
        coalesce(
            {{ dated_since_last_look('ended_at') }},
            {{ dated_since_last_look('cancel_at') }},
            {{ dated_since_last_look('cancel_at_before') }},
            {{ dated_since_last_look('cancelled_at') }},
            observed_from
        ) as ends_at
    from unlogged

),

told as (
    {% for tell in tells %}
    select
        *,
        '{{ tell.type }}' as event_type,
        {{ tell.get('at', 'observed_from') }} as occurred_at,
        {{ tell.get('effective', 'cast(null as timestamp)') }} as effective_at,
        {{ loop.index }} as sequence,
        {{ 'true' if tell.when.startswith('is_gone') else 'false' }} as is_disappearance
    from compared
    where {{ tell.when }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

final as (

    select
        subscription_key,
        cast(
            subscription_key || ':seen:' || cast(observed_day as {{ type_string() }}) || ':'
            || cast(sequence as {{ type_string() }}) as {{ type_string() }}
        ) as event_key,
        cast(event_type as {{ type_string() }}) as event_type,
        occurred_at,
        cast(sequence as bigint) as sequence,
        case when effective_at > occurred_at then effective_at end as effective_at,
        {%- for column in terms %}
        {{ column }},
        {%- endfor %}
        cast(case
            when is_disappearance then 'gone from the table'
            when event_type in ('cancelled', 'expired', 'cancel_scheduled') then cancel_reason
        end as {{ type_string() }}) as reason,
        is_disappearance as is_inferred
    from told

)

select * from final
