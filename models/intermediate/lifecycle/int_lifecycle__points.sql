{#- A customer's life as points: days on which something begins. From each point to the next one the customer is either
    live (a subscription runs) or silent since that point, with the threshold in force on that day. -#}
{%- set is_personal = var('lifecycle_method') == 'personal' -%}
{%- set at_risk_days = "coalesce(thresholds.at_risk_days, " ~ var('at_risk_after_days') ~ ")" -%}
{%- set lapsed_days = "coalesce(thresholds.lapsed_days, " ~ var('lapsed_after_days') ~ ")" -%}
{%- if is_personal -%}
    {%- set own = personal_at_risk_days('own_medians') -%}
    {%- set own_lapsed = "greatest(" ~ personal_lapsed_days('own_medians') ~ ", " ~ own ~ " + 1)" -%}
    {%- set at_risk_days = "case when thresholds.policy = 'personal' then " ~ own ~ " else " ~ at_risk_days ~ " end" -%}
    {%- set lapsed_days = "case when thresholds.policy = 'personal' then " ~ own_lapsed ~ " else " ~ lapsed_days ~ " end" -%}
{%- endif -%}
with order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

live_spans as (

    select * from {{ ref('int_subscriptions__live_spans') }}

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
    where live_to <= {{ as_of_date() }}

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
        {{ at_risk_days }} as at_risk_days,
        {{ lapsed_days }} as lapsed_days
    from numbered
    inner join lines on numbered.customer_key = lines.customer_key
    left join thresholds
        on
            lines.business_line = thresholds.business_line
            and {{ month_start('numbered.happened_on') }} = thresholds.month
    {%- if is_personal %}
    left join own_medians
        on
            numbered.customer_key = own_medians.customer_key
            and numbered.order_days_so_far = own_medians.order_days_so_far
    {%- endif %}

),

lapses as (

    select
        *,
        case
            when
                not lag(is_live) over (partition by customer_key order by happened_on)
                and happened_on
                > lag({{ add_days('happened_on', 'lapsed_days + 1') }}) over (
                    partition by customer_key order by happened_on
                )
                then 1
            else 0
        end as ends_lapse
    from measured

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(happened_on as date) as happened_on,
        cast(next_happened_on as date) as next_happened_on,
        cast(is_order as boolean) as is_order,
        cast(is_live as boolean) as is_live,
        cast(order_days_so_far as integer) as order_days_so_far,
        -- the points from one order to the next share order_days_so_far, and only the first of them is the order
        coalesce(max(case when is_order then ends_lapse else 0 end) over (
            partition by customer_key, order_days_so_far
        ) = 1, false) as last_order_ended_lapse,
        cast(at_risk_days as integer) as at_risk_days,
        cast(lapsed_days as integer) as lapsed_days,
        cast(policy as {{ type_string() }}) as policy
    from lapses

)

select * from final
