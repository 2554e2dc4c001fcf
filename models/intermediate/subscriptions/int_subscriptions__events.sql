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

),

inferred_events as (

    select * from {{ ref('int_subscriptions__inferred_events') }}

),

observed_events as (

    select * from {{ ref('int_subscriptions__observed_events') }}

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
        event_type in ({{ term_events() }})
        and (discount_duration is not null or discount_amount is not null or discount_percent is not null)
            as speaks_of_coupon,
        case
            when discount_duration in ('forever', 'once', 'none') then discount_duration
            when discount_duration in ('months', 'repeating') then 'months'
            when discount_duration is not null then 'unknown'
            when discount_ends_at is not null then 'months'
            when discount_amount is not null or discount_percent is not null then 'forever'
        end as coupon
    from every_event

),

followed as (

    select
        *,
        lead(occurred_at) over (
            partition by subscription_key, speaks_of_coupon order by occurred_at asc, event_key asc
        ) as next_coupon_at
    from couponed

),

-- a coupon that counts while it runs comes to its end, unless another took its place
coupon_ends as (

    select
        subscription_key,
        discount_ends_at as occurred_at,
        is_inferred,
        'discount_changed' as event_type,
        'none' as coupon,
        event_key || ':coupon_ends' as event_key
    from followed
    where
        speaks_of_coupon
        and coupon = 'months'
        and {{ 'true' if 'months' in counted else 'false' }}
        and discount_ends_at > occurred_at
        and {{ business_date('discount_ends_at') }} <= {{ as_of_date() }}
        and (next_coupon_at is null or next_coupon_at > discount_ends_at)

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
        coupon
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
