{#- The subscription tier: subscriptions and their events, what each event did, intervals, movements, recomputed only for
    the subscriptions that something happened to since the last finished run. Everything in it is a function of one
    subscription's rows, but for exchange rates and the book of an account, which may have several subscriptions. It has
    an account of its own of the last finished run (int_changes__subscription_done), apart from that of orders.

    1. What landed, in chunks, and int_changes__subscription_ids and …event_subscription_ids with what must be read for
       them: as for orders and their payments (1. to 3. in macros/incremental/front.sql), by subscription_id.
    2. Then today's table, its snapshot, the versions and the accounts are built whole: they have a row per subscription
       where the log has ten, and a snapshot must look at every row anyway. Of each subscription's rows of the last two
       int_changes__subscription_rows has a hash, all columns of them: who subscribed (merges and splits), today's row
       with its plan's terms, what it said on every day before.
    3. int_changes__subscriptions, what the log and all that happened is recomputed for: subscriptions of 1; with
       another hash than at the last finished run, new or gone; of which a day lies in (last as-of, as-of]: an event's
       effective date (a pause begins or ends, a cancellation or a change of terms comes into force), the end of a
       coupon, and any date of a row of which something is inferred (trial end, scheduled end, …); and those that name
       a plan whose price or rhythm changed.
    4. int_changes__valued_subscriptions, what intervals and all after them are recomputed for: 3, and those with a
       price of a currency and day whose exchange rate is another.
    5. int_changes__subscription_accounts, of which the book is recomputed: accounts of 4, as they are and as they were.

    Nothing in the tier knows as-of beyond 3: an open interval ends nowhere, and what depends on today (how long it is
    paused, who is due) is built whole after it. Interrupted runs, and what can't be followed: as for orders. -#}

{% macro subscription_models() -%}
{{- return([
    'int_canonical__subscriptions', 'int_canonical__subscription_events', 'int_subscriptions__logged_events',
    'int_subscriptions__inferred_events', 'int_subscriptions__observed_events', 'int_subscriptions__events',
    'int_subscriptions__lives', 'int_subscriptions__steps', 'int_subscriptions__terms',
    'int_subscriptions__pause_spells', 'int_subscriptions__intervals', 'int_subscriptions__changes',
    'int_subscriptions__account_days', 'subscription_states', 'mrr_movements',
]) -}}
{%- endmacro %}

{#- Whether all of them stand. -#}
{% macro subscriptions_stand() -%}
{{- return(front_stands(subscription_models(), {'subscription_states': 'marts', 'mrr_movements': 'marts'})) -}}
{%- endmacro %}

{#- What is kept of a finished run is written after all tables that it stands for. -#}
{% macro after_the_subscription_tier() -%}
{{ after_all_of(subscription_models()) }}
{%- endmacro %}

{#- The terms of plans that a subscription's row or event may bring. -#}
{% macro plan_terms() -%}
select
        system,
        plan_id,
        cast(price as {{ type_price() }}) as price,
        cast(lower(trim({{ adapter.quote('interval') }})) as {{ type_string() }}) as billing_interval,
        cast(interval_count as bigint) as interval_count
    from {{ ref('int_canonical__plans') }}
    where row_status = 'current'
{%- endmacro %}

{#- Whether one of these columns of a relation falls due. -#}
{% macro any_falls_due(relation, columns) -%}
{%- for column in columns -%}
{{ ' or ' if not loop.first }}{{ falls_due(relation ~ '.' ~ column) }}
{%- endfor -%}
{%- endmacro %}
