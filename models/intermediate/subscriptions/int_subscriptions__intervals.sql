{{ config(
    materialized='touched', unique_key='subscription_key',
    meta={'touched_by': 'int_changes__valued_subscriptions', 'decided_by': 'int_changes__subscription_run'}
) }}
-- State and money of each subscription as half-open intervals of instants. Of steps in one instant the last counts
-- (lengths of zero are dropped), and neighbours that say the same are one interval.
-- sqlfluff:indentation:template_blocks_indent:false
-- depends_on: {{ ref('int_changes__valued_subscriptions') }}
with terms as (

    select * from {{ ref('int_subscriptions__terms') }}
    {{ only_listed('subscription_key', 'int_changes__valued_subscriptions') }}

),

exchange_rates as (

    select * from {{ ref('int_subscriptions__exchange_rates') }}

),

standing as (

    select * from terms
    where next_happened_at is null or next_happened_at > happened_at

),

priced as (

    select
        standing.*,
        exchange_rates.fx_rate,
        case
            when standing.price is null or standing.price < 0 or standing.quantity < 0 then 'no_price'
            when
                standing.billing_interval is null or standing.billing_interval not in ('day', 'week', 'month', 'year')
                or standing.interval_count < 1
                then 'no_interval'
            when exchange_rates.fx_rate is null then 'no_exchange_rate'
        end as money_problem
    from standing
    left join exchange_rates
        on standing.currency = exchange_rates.currency and standing.price_date = exchange_rates.business_date

),

amounts as (

    select
        *,
        -- a trial earns nothing; a payment that failed counts or not: policy
        case
            when state in ({{ ended_states() }}) or payment_state = 'trialing' then 0
            {%- if not var('past_due_in_mrr') %}
            when payment_state = 'past_due' then 0
            {%- endif %}
            when money_problem is not null then null
            else {{ monthly_amount(
                'price', 'quantity', 'billing_interval', 'interval_count', 'fx_rate',
                'coalesce(amount_off, 0)', 'coalesce(percent_off, 0)'
            ) }}
        end as monthly
    from priced

),

split as (

    select
        *,
        {%- if var('paused_in_mrr') %}
        monthly as mrr,
        case when monthly is not null then 0 end as paused_mrr
        {%- else %}
        case
            when state != 'paused' then monthly
            when monthly is not null then 0
        end as mrr,
        case
            when state = 'paused' then monthly
            when monthly is not null then 0
        end as paused_mrr
        {%- endif %}
    from amounts

),

compared as (

    select
        *,
        coalesce(
            lag(life_number) over (partition by subscription_key order by step) = life_number
            and lag(state) over (partition by subscription_key order by step) = state
            and lag(is_inferred) over (partition by subscription_key order by step) = is_inferred
            and lag(mrr) over (partition by subscription_key order by step) is not distinct from mrr
            and lag(paused_mrr) over (partition by subscription_key order by step) is not distinct from paused_mrr
            and lag(plan_id) over (partition by subscription_key order by step) is not distinct from plan_id
            and lag(quantity) over (partition by subscription_key order by step) is not distinct from quantity
            and lag(price) over (partition by subscription_key order by step) is not distinct from price
            and lag(billing_interval) over (partition by subscription_key order by step)
            is not distinct from billing_interval
            and lag(interval_count) over (partition by subscription_key order by step)
            is not distinct from interval_count,
            false
        ) as is_same
    from split

),

changes as (

    select
        *,
        lead(happened_at) over (partition by subscription_key order by step) as next_changed_at
    from compared
    where not is_same

),

final as (

    select
        subscription_key,
        account_key,
        customer_key,
        cast(life_number as integer) as life_number,
        state,
        cast(happened_at as timestamp) as valid_from,
        cast(next_changed_at as timestamp) as valid_to,
        {{ business_date('happened_at') }} as from_date,
        {{ business_date('next_changed_at') }} as to_date,
        cast(mrr as {{ type_money() }}) as mrr,
        cast(paused_mrr as {{ type_money() }}) as paused_mrr,
        plan_id,
        price,
        billing_interval,
        cast(interval_count as bigint) as interval_count,
        cast(quantity as bigint) as quantity,
        currency,
        cast(money_problem as {{ type_string() }}) as money_problem,
        is_inferred
    from changes

)

select * from final
