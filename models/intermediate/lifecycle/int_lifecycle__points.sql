{{ config(
    materialized='touched', unique_key='customer_key',
    meta={'touched_by': 'int_changes__lifecycle_customers', 'decided_by': 'int_changes__lifecycle_run'}
) }}
{#- A customer's life as points: days on which something begins. From each point to the next one the customer is either
    live (a subscription runs) or silent since that point, with the threshold in force on that day. -#}
{%- set is_personal = var('lifecycle_method') == 'personal' -%}
{%- set at_risk_days, lapsed_days = {}, {} -%}
{%- for at in ['', '_before'] -%}
    {%- set thresholds, medians = 'thresholds' ~ at, 'own_medians' ~ at -%}
    {%- set at_risk = "coalesce(" ~ thresholds ~ ".at_risk_days, " ~ var('at_risk_after_days') ~ ")" -%}
    {%- set lapsed = "coalesce(" ~ thresholds ~ ".lapsed_days, " ~ var('lapsed_after_days') ~ ")" -%}
    {%- if is_personal -%}
        {%- set own = personal_at_risk_days(medians, thresholds) -%}
        {%- set own_lapsed = "greatest(" ~ personal_lapsed_days(medians, thresholds) ~ ", " ~ own ~ " + 1)" -%}
        {%- set at_risk = "case when " ~ thresholds ~ ".policy = 'personal' then " ~ own ~ " else " ~ at_risk ~ " end" -%}
        {%- set lapsed = "case when " ~ thresholds ~ ".policy = 'personal' then " ~ own_lapsed ~ " else " ~ lapsed ~ " end" -%}
    {%- endif -%}
    {%- do at_risk_days.update({at: at_risk}) -%}
    {%- do lapsed_days.update({at: lapsed}) -%}
{%- endfor %}
-- depends_on: {{ ref('int_changes__lifecycle_run') }}
with order_days as (

    select * from {{ ref('int_customers__order_days') }}
    {{ only_listed('customer_key', 'int_changes__lifecycle_customers') }}

),

live_spans as (

    select * from {{ ref('int_subscriptions__live_spans') }}
    {{ only_listed('customer_key', 'int_changes__lifecycle_customers') }}

),

lines as (

    select * from {{ ref('int_lifecycle__lines') }}

),

thresholds as (

    select * from {{ ref('lifecycle_thresholds') }}

),

{% if is_personal -%}
own_medians as (

    select * from {{ ref('int_lifecycle__own_medians') }}

),

{% endif -%}
happenings as (

    select
        customer_key,
        order_date as happened_on,
        1 as is_order,
        0 as live_change
    from order_days
    union all
    select
        customer_key,
        live_from as happened_on,
        0 as is_order,
        1 as live_change
    from live_spans
    union all
    select
        customer_key,
        live_to as happened_on,
        0 as is_order,
        -1 as live_change
    from live_spans
    where live_to is not null

),

days as (

    select
        customer_key,
        happened_on,
        max(is_order) as is_order,
        sum(live_change) as live_change
    from happenings
    group by customer_key, happened_on

),

numbered as (

    select
        customer_key,
        happened_on,
        is_order = 1 as is_order,
        sum(is_order) over (
            partition by customer_key order by happened_on rows between unbounded preceding and current row
        ) as order_days_so_far,
        sum(live_change) over (
            partition by customer_key order by happened_on rows between unbounded preceding and current row
        ) > 0 as is_live,
        coalesce(sum(live_change) over (
            partition by customer_key order by happened_on rows between unbounded preceding and 1 preceding
        ), 0) > 0 as is_live_before,
        lag(happened_on) over (partition by customer_key order by happened_on) as previous_happened_on,
        lead(happened_on) over (partition by customer_key order by happened_on) as next_happened_on
    from days

),

measured as (

    select
        numbered.customer_key,
        numbered.happened_on,
        numbered.is_order,
        numbered.order_days_so_far,
        numbered.is_live,
        numbered.next_happened_on,
        coalesce(thresholds.policy, 'fixed') as policy,
        {{ at_risk_days[''] }} as at_risk_days,
        {{ lapsed_days[''] }} as lapsed_days,
        -- the threshold that was in force since the point before
        coalesce(
            not numbered.is_live_before
            and numbered.happened_on > {{ add_days('numbered.previous_happened_on', lapsed_days['_before'] ~ ' + 1') }},
            false
        ) as ends_lapse
    from numbered
    inner join lines on numbered.customer_key = lines.customer_key
    left join thresholds
        on
            lines.business_line = thresholds.business_line
            and {{ month_start('numbered.happened_on') }} = thresholds.month
    left join thresholds as thresholds_before
        on
            lines.business_line = thresholds_before.business_line
            and {{ month_start('numbered.previous_happened_on') }} = thresholds_before.month
    {%- if is_personal %}
    left join own_medians
        on
            numbered.customer_key = own_medians.customer_key
            and numbered.order_days_so_far = own_medians.order_days_so_far
    left join own_medians as own_medians_before
        on
            numbered.customer_key = own_medians_before.customer_key
            and numbered.order_days_so_far - case when numbered.is_order then 1 else 0 end
            = own_medians_before.order_days_so_far
    {%- endif %}

),

-- the points from one order to the next share order_days_so_far, and only the first of them is the order
ended_lapses as (

    select
        customer_key,
        order_days_so_far
    from measured
    where is_order and ends_lapse

),

final as (

    select
        cast(measured.customer_key as {{ type_string() }}) as customer_key,
        cast(measured.happened_on as date) as happened_on,
        cast(measured.next_happened_on as date) as next_happened_on,
        cast(measured.is_order as boolean) as is_order,
        cast(measured.is_live as boolean) as is_live,
        cast(measured.order_days_so_far as integer) as order_days_so_far,
        cast(ended_lapses.customer_key is not null as boolean) as last_order_ended_lapse,
        cast(measured.at_risk_days as integer) as at_risk_days,
        cast(measured.lapsed_days as integer) as lapsed_days,
        cast(measured.policy as {{ type_string() }}) as policy
    from measured
    left join ended_lapses
        on
            measured.customer_key = ended_lapses.customer_key
            and measured.order_days_so_far = ended_lapses.order_days_so_far

)

select * from final
