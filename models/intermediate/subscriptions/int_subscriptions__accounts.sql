-- Who subscribed, and what today's row says; a subscription that is gone from the table keeps what it last said there.
{%- set columns = [
    'subscription_key', 'system', 'subscription_id', 'customer_id', 'today_status', 'plan_id', 'price',
    'billing_interval', 'interval_count', 'quantity', 'currency', 'discount_amount', 'discount_percent',
    'discount_duration', 'discount_ends_at', 'started_at', 'trial_end', 'pause_start', 'pause_end', 'cancel_at',
    'cancelled_at', 'ended_at', 'updated_at',
] %}
-- sqlfluff:indentation:template_blocks_indent:false
with today as (

    select * from {{ ref('int_subscriptions__today') }}

),

versions as (

    select * from {{ ref('int_subscriptions__versions') }}
    where is_missing

),

known as (

    select
        {% for column in columns -%}
        {{ column }},
        {% endfor -%}
        cancel_reason,
        email,
        false as is_gone
    from today
    union all
    select
        {% for column in columns -%}
        {{ column }},
        {% endfor -%}
        cancel_reason,
        cast(null as {{ type_string() }}) as email,
        is_gone
    from versions

),

final as (

    select
        known.subscription_key,
        known.system,
        known.subscription_id,
        cast({{ customer_key_of() }} as {{ type_string() }}) as customer_key,
        -- money is kept per account: the customer, or the subscription itself where nobody is known
        cast(
            coalesce({{ customer_key_of() }}, 'nobody:' || known.subscription_key) as {{ type_string() }}
        ) as account_key,
        known.today_status,
        known.today_status not in ({{ live_states() }}, {{ ended_states() }}) as is_unknown_status,
        {%- for column in columns[5:] %}
        known.{{ column }},
        {%- endfor %}
        known.cancel_reason,
        known.is_gone
    from known
    {{ join_customers('known') }}

)

select * from final
