{#- What today's table of subscriptions said on every day it was looked at. State: `ritorno` brings it from the state
    store before a run and puts it back after publishing (orchestration/ritorno/snapshots.py); the warehouse's copy may be
    lost. Days are as-of days, never the clock's: `dbt_valid_from` is midnight of the day as a label. A run of a day
    that is in the history replaces that day; a run of an earlier day reads the history and adds nothing, since what
    the table said on that day is known and today's table is another. No e-mail address: it would outlive an erasure. -#}
{% snapshot subscriptions_history %}
{{ config(
    schema='snapshots',
    unique_key='subscription_key',
    strategy='check',
    check_cols=[
        'today_status', 'plan_id', 'price', 'billing_interval', 'interval_count', 'quantity', 'currency',
        'discount_amount', 'discount_percent', 'discount_duration', 'discount_ends_at', 'trial_end', 'pause_start',
        'pause_end', 'cancel_at', 'cancelled_at', 'ended_at', 'cancel_reason',
    ],
    hard_deletes='invalidate',
    pre_hook="{{ replace_observed_day(this) }}",
) }}
{%- set columns = [
    'subscription_key', 'system', 'subscription_id', 'customer_id', 'today_status', 'plan_id', 'price',
    'billing_interval', 'interval_count', 'quantity', 'currency', 'discount_amount', 'discount_percent',
    'discount_duration', 'discount_ends_at', 'started_at', 'trial_end', 'pause_start', 'pause_end', 'cancel_at',
    'cancelled_at', 'ended_at', 'updated_at', 'cancel_reason',
] %}

-- sqlfluff:indentation:template_blocks_indent:false
select
    {{ columns | join(',\n    ') }}
{%- if was_observed_later(this) %}
from {{ this }}
where dbt_valid_to is null
{%- else %}
from {{ ref('int_subscriptions__today') }}
where not is_after_as_of
{%- endif %}

{% endsnapshot %}
