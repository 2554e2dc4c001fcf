{#- The words of the event log (METRICS.md), and what each may do. A system's own words are mapped to these in its
    staging models (docs/subscriptions.md). -#}
{% macro subscription_event_types() -%}
{{ return([
    'created', 'trial_started', 'activated', 'renewed', 'plan_changed', 'price_changed', 'quantity_changed',
    'interval_changed', 'pause_scheduled', 'pause_withdrawn', 'paused', 'resumed', 'skipped', 'payment_failed',
    'payment_recovered', 'cancel_scheduled', 'cancel_withdrawn', 'cancelled', 'expired', 'reactivated', 'discount_changed',
    'observed',
]) }}
{%- endmacro %}

{#- where events of one instant carry no sequence they are taken in this order: the list above -#}
{% macro subscription_event_rank(column) -%}
case {{ column }}
    {%- for name in subscription_event_types() %}
    when '{{ name }}' then {{ loop.index }}
    {%- endfor %}
    else 99
end
{%- endmacro %}

{#- events that may begin a subscription -#}
{% macro starting_events() -%}'created', 'trial_started', 'activated'{%- endmacro %}

{#- events whose plan, price, interval and quantity hold from then on. A renewal's price is what was billed (perhaps
    with a coupon for some months), so it changes nothing. -#}
{% macro term_events() -%}
'created', 'trial_started', 'activated', 'plan_changed', 'price_changed', 'quantity_changed', 'interval_changed', 'discount_changed', 'resumed', 'reactivated'
{%- endmacro %}

{% macro change_events() -%}
'plan_changed', 'price_changed', 'quantity_changed', 'interval_changed', 'discount_changed'
{%- endmacro %}

{#- states in which a subscription is live: it counts as activity, and its customer as a subscriber -#}
{% macro live_states() -%}'trialing', 'active', 'past_due', 'paused'{%- endmacro %}
{% macro ended_states() -%}'cancelled', 'expired'{%- endmacro %}

{#- The code of the latest marked row in a window: the largest place × 10 + code of the rows with a code, of which the
    last digit is taken. A last_value that ignores nulls, as every engine has it. -#}
{% macro latest_code(place, code, over) -%}
mod(max(case when {{ code }} is not null then {{ place }} * 10 + {{ code }} end) over ({{ over }}), 10)
{%- endmacro %}

{#- A monthly amount in whole cents of the reporting currency, rounded once, half away from zero: (price (4 places) ×
    quantity − the coupon's amount, at least 0) × (100 − its per cent) × how often a year × rate (10 places) / 12. Whole numbers all the way, so every engine agrees. -#}
{% macro monthly_amount(price, quantity, interval, interval_count, rate, amount_off='0', percent_off='0') -%}
{%- set yearly = "case " ~ interval ~ " when 'year' then 1 when 'month' then 12 when 'week' then 52 when 'day' then 365 end" -%}
{%- set wide = type_wide_integer() -%}
{%- set billed = "greatest(" ~ in_units(price, 4) ~ " * cast(" ~ quantity ~ " as " ~ wide ~ ") - " ~ in_units(amount_off, 4) ~ ", cast(0 as " ~ wide ~ "))" -%}
{%- set kept = "greatest(cast(1000000 as " ~ wide ~ ") - " ~ in_units(percent_off, 4) ~ ", cast(0 as " ~ wide ~ "))" -%}
{%- set amount = billed ~ " * " ~ kept ~ " * " ~ yearly ~ " * " ~ in_units(rate, 10) -%}
{%- set whole = "cast(" ~ interval_count ~ " as " ~ wide ~ ") * 12 * 1000000000000 * 1000000" -%}
cast({{ whole_quotient("2 * (" ~ amount ~ ") + " ~ whole, "2 * " ~ whole) }} as decimal(36, 0)) * cast(0.01 as decimal(2, 2))
{%- endmacro %}

{#- A date of the row, if it lies in the days since the table was last looked at: so the row says when; else null. -#}
{% macro dated_since_last_look(column) -%}
case
    when {{ business_date(column) }} > previous_day and {{ business_date(column) }} <= observed_day then {{ column }}
end
{%- endmacro %}
