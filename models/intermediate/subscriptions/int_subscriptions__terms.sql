{{ config(
    materialized='touched', unique_key='subscription_key',
    meta={'touched_by': 'int_changes__subscriptions', 'decided_by': 'int_changes__subscription_run'}
) }}
{#- Plan, price, interval and quantity at every step. A step names what changes; the rest is carried on from before. A
    change of plan without a price, by whatever event, brings the plan's list price; a coupon stays until another word of
    it or its own end, which may pass while the subscription has ended. The words are followed among the steps that say something, a third of them, and every step gets those of the last that did: one
    narrow sort of all steps instead of eight wide ones. -#}
{%- set so_far = 'partition by subscription_key order by step rows between unbounded preceding and current row' -%}
{%- set carried = ['plan_id', 'price', 'billing_interval', 'interval_count', 'amount_off', 'percent_off'] -%}
{%- if var('discounts_in_mrr') == 'running' %}{% set carried = carried + ['coupon_ends_at'] %}{% endif -%}
-- sqlfluff:indentation:template_blocks_indent:false
with steps as (

    select * from {{ ref('int_subscriptions__steps') }}
    where outcome != 'quarantined'
    {{ only_listed('subscription_key', 'int_changes__subscriptions', 'and') }}

),

events as (

    select * from {{ ref('int_subscriptions__events') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

accounts as (

    select * from {{ ref('int_subscriptions__accounts') }}
    {{ only_listed('subscription_key', 'int_changes__subscriptions') }}

),

plans as (

    select
        system || ':' || plan_id as plan_key,
        price,
        lower(trim({{ adapter.quote('interval') }})) as billing_interval,
        coalesce(interval_count, 1) as interval_count
    from {{ ref('int_canonical__plans') }}
    where row_status = 'current'

),

judged as (

    select
        *,
        outcome = 'applied'
        and event_type in ({{ term_events() }})
        -- a change with a date speaks when it comes into force; a pause that runs out says nothing of terms
        and not (event_type in ({{ change_events() }}) and effective_at is not null)
        and (not is_timer or event_type in ({{ change_events() }})) as speaks_of_terms
    from steps

),

numbered as (

    select
        subscription_key,
        step,
        event_key,
        life_number,
        event_type,
        happened_at,
        is_inferred,
        state,
        payment_state,
        is_paused,
        speaks_of_terms,
        row_number() over (partition by subscription_key order by step) = 1 as is_first,
        count(case when speaks_of_terms then 1 end) over ({{ so_far }}) as words,
        min(happened_at) over (partition by subscription_key) as first_happened_at,
        lead(happened_at) over (partition by subscription_key order by step) as next_happened_at
    from judged

),

spoken as (

    select
        numbered.subscription_key,
        numbered.step,
        numbered.words,
        numbered.event_type,
        numbered.happened_at,
        numbered.is_first,
        accounts.system,
        accounts.plan_id as today_plan_id,
        accounts.price as today_price,
        accounts.billing_interval as today_interval,
        accounts.interval_count as today_interval_count,
        accounts.quantity as today_quantity,
        events.plan_id as said_plan_id,
        events.price as said_price,
        events.billing_interval as said_interval,
        events.interval_count as said_interval_count,
        events.quantity as said_quantity,
        events.amount_off as said_amount_off,
        events.percent_off as said_percent_off,
        events.coupon_ends_at as new_coupon_ends_at
    from numbered
    inner join accounts on numbered.subscription_key = accounts.subscription_key
    inner join events on numbered.event_key = events.event_key
    where numbered.speaks_of_terms

),

named_plans as (

    select
        *,
        said_plan_id is not null or (is_first and today_plan_id is not null) as names_plan,
        coalesce(said_plan_id, case when is_first then today_plan_id end) as new_plan_id
    from spoken

),

-- a plan other than the one named last is a change of plan, whatever the event is called
judged_plans as (

    select
        *,
        is_first
        or event_type = 'plan_changed'
        or coalesce(
            new_plan_id != lag(new_plan_id) over (partition by subscription_key, names_plan order by step), false
        ) as takes_plan_terms
    from named_plans

),

with_plans as (

    select
        judged_plans.*,
        plans.price as plan_price,
        plans.billing_interval as plan_interval,
        plans.interval_count as plan_interval_count
    from judged_plans
    left join plans on plans.plan_key = judged_plans.system || ':' || judged_plans.new_plan_id

),

said as (

    select
        subscription_key,
        step,
        words,
        happened_at,
        is_first,
        new_plan_id,
        said_amount_off as new_amount_off,
        said_percent_off as new_percent_off,
        new_coupon_ends_at,
        coalesce(
            said_price,
            case when takes_plan_terms then plan_price end,
            case when is_first then today_price end
        ) as new_price,
        coalesce(
            said_interval,
            case when takes_plan_terms then plan_interval end,
            case when is_first then today_interval end
        ) as new_billing_interval,
        case
            when said_interval is not null then coalesce(said_interval_count, 1)
            when takes_plan_terms and plan_interval is not null then coalesce(said_interval_count, plan_interval_count)
            when is_first then coalesce(said_interval_count, today_interval_count, 1)
            else said_interval_count
        end as new_interval_count,
        coalesce(said_quantity, case when is_first then coalesce(today_quantity, 1) end) as new_quantity
    from with_plans

),

grouped as (

    select
        *,
        {%- for column in carried %}
        count(new_{{ column }}) over ({{ so_far }}) as {{ column }}_group,
        {%- endfor %}
        count(new_quantity) over ({{ so_far }}) as quantity_group
    from said

),

in_force as (

    select
        *,
        {%- for column in carried %}
        max(new_{{ column }}) over (partition by subscription_key, {{ column }}_group) as {{ column }},
        {%- endfor %}
        max(new_quantity) over (partition by subscription_key, quantity_group) as quantity
    from grouped

),

-- the price that the rate belongs to: amount and rhythm, not quantity. Rates move no MRR.
compared as (

    select
        *,
        lag(price) over (partition by subscription_key order by step) as price_before,
        lag(billing_interval) over (partition by subscription_key order by step) as interval_before,
        lag(interval_count) over (partition by subscription_key order by step) as interval_count_before
    from in_force

),

dated as (

    select
        *,
        max(case
            when
                is_first
                or price is distinct from price_before
                or billing_interval is distinct from interval_before
                or interval_count is distinct from interval_count_before
                then happened_at
        end) over ({{ so_far }}) as price_since
    from compared

),

final as (

    select
        numbered.subscription_key,
        accounts.account_key,
        accounts.customer_key,
        numbered.step,
        numbered.life_number,
        numbered.event_type,
        numbered.happened_at,
        numbered.is_inferred,
        numbered.state,
        numbered.payment_state,
        numbered.is_paused,
        dated.plan_id,
        dated.price,
        dated.billing_interval,
        dated.interval_count,
        dated.quantity,
        {%- for column in ['amount_off', 'percent_off'] %}
        {%- if 'coupon_ends_at' in carried %}
        case when dated.coupon_ends_at > dated.happened_at then dated.{{ column }} end as {{ column }},
        {%- else %}
        dated.{{ column }},
        {%- endif %}
        {%- endfor %}
        accounts.currency,
        coalesce(dated.price_since, numbered.first_happened_at) as price_since,
        {{ business_date('coalesce(dated.price_since, numbered.first_happened_at)') }} as price_date,
        numbered.next_happened_at
    from numbered
    inner join accounts on numbered.subscription_key = accounts.subscription_key
    left join dated
        on numbered.subscription_key = dated.subscription_key and numbered.words = dated.words

)

select * from final
