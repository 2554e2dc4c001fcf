{{ config(
    materialized='touched', unique_key='subscription_key',
    meta={'touched_by': 'int_changes__subscriptions', 'decided_by': 'int_changes__subscription_run'}
) }}
{#- The one event log: what the systems logged, and for subscriptions without a log what their row told when it was
    first seen and how it changed since. Each has its place: time, then sequence, then the order of the vocabulary, then
    the key; the order of arrival plays no part. Which coupons count is policy: those for ever, those that run (then
    their end is an event too), or none. -#}
{%- set counted = {
    'none': [], 'forever': ['forever'], 'running': ['forever', 'months'],
}[var('discounts_in_mrr')] -%}
{%- set columns = [
    'subscription_key', 'event_key', 'event_type', 'occurred_at', 'sequence', 'effective_at', 'plan_id', 'price',
    'billing_interval', 'interval_count', 'quantity', 'discount_amount', 'discount_percent', 'discount_duration',
    'discount_ends_at', 'reason', 'is_inferred',
] -%}
-- sqlfluff:indentation:template_blocks_indent:false
with logged_events as (

    select * from {{ ref('int_subscriptions__logged_events') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

inferred_events as (

    select * from {{ ref('int_subscriptions__inferred_events') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

observed_events as (

    select * from {{ ref('int_subscriptions__observed_events') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

every_event as (

    {%- for source in ['logged_events', 'inferred_events', 'observed_events'] %}
    select {{ columns | join(', ') }} from {{ source }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

couponed as (

    select
        *,
        case
            when discount_duration in ('forever', 'once', 'none') then discount_duration
            when discount_duration in ('months', 'repeating') then 'months'
            when discount_duration is not null then 'unknown'
            when discount_ends_at is not null then 'months'
            when discount_amount is not null or discount_percent is not null then 'forever'
        end as coupon
    from every_event

),

-- when a coupon that counts while it runs comes to its end something happens, whichever coupon is in force by then
coupon_ends as (

    select
        subscription_key,
        discount_ends_at as occurred_at,
        'discount_changed' as event_type,
        min(case when is_inferred then 1 else 0 end) = 1 as is_inferred,
        min(event_key) || ':coupon_ends' as event_key
    from couponed
    where
        event_type in ({{ term_events() }})
        and coupon = 'months'
        and {{ 'true' if 'months' in counted else 'false' }}
        and discount_ends_at > occurred_at
        and {{ business_date('discount_ends_at') }} <= {{ as_of_date() }}
    group by subscription_key, discount_ends_at

),

gathered as (

    select
        {{ columns | join(', ') }},
        coupon
    from couponed
    union all
    select
        {% for column in columns -%}
        {% if column in ['subscription_key', 'event_key', 'event_type', 'occurred_at', 'is_inferred'] -%}
        {{ column }},
        {% else -%}
        null as {{ column }},
        {% endif -%}
        {% endfor -%}
        null as coupon
    from coupon_ends

),

final as (

    select
        subscription_key,
        cast(event_key as {{ type_string() }}) as event_key,
        cast(event_type as {{ type_string() }}) as event_type,
        occurred_at,
        sequence,
        effective_at,
        plan_id,
        price,
        billing_interval,
        interval_count,
        quantity,
        -- what the coupon takes off the MRR; null where the event says nothing of it
        cast(case
            when coupon in ({{ text_list(counted + ['']) }}) then greatest(coalesce(discount_amount, 0), 0)
            when coupon is not null then 0
        end as {{ type_price() }}) as amount_off,
        cast(case
            when coupon in ({{ text_list(counted + ['']) }})
                then least(greatest(coalesce(discount_percent, 0), 0), 100)
            when coupon is not null then 0
        end as {{ type_price() }}) as percent_off,
        -- from when on it takes off nothing: a date later than any, if the event speaks of a coupon without an end
        case
            when coupon = 'months' and discount_ends_at is not null then discount_ends_at
            when coupon is not null then cast('9999-12-31' as timestamp)
        end as coupon_ends_at,
        reason,
        is_inferred,
        cast(row_number() over (
            partition by subscription_key
            order by
                occurred_at asc,
                case when is_inferred then 0 else 1 end asc,
                sequence asc nulls last,
                {{ subscription_event_rank('event_type') }} asc,
                event_key asc
        ) as bigint) as place
    from gathered

)

select * from final
