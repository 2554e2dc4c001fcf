-- What the wide view of customers says of their subscriptions. A customer is paused while every live one is.
with subscriptions as (

    select * from {{ ref('subscriptions') }}
    where customer_key is not null

),

totals as (

    select
        customer_key,
        sum(case when is_live then 1 else 0 end) as live_subscriptions,
        sum(case when is_live and state = 'paused' then 1 else 0 end) as paused_subscriptions,
        max(case when is_live and state = 'paused' then paused_since end) as last_paused_since,
        sum(coalesce(mrr, 0)) as mrr,
        sum(coalesce(paused_mrr, 0)) as paused_mrr
    from subscriptions
    group by customer_key

),

judged as (

    select
        *,
        live_subscriptions > 0 as has_active_subscription,
        live_subscriptions > 0 and live_subscriptions = paused_subscriptions as is_paused,
        case
            when live_subscriptions > 0 and live_subscriptions = paused_subscriptions then last_paused_since
        end as paused_since
    from totals

),

final as (

    select
        customer_key,
        has_active_subscription,
        is_paused,
        paused_since,
        -- the first day on which the pause is longer than the policy allows
        case
            when {{ days_between('paused_since', as_of_date()) }} > {{ var('pause_at_risk_after_days') }}
                then {{ add_days('paused_since', var('pause_at_risk_after_days') + 1) }}
        end as paused_too_long_since,
        cast(mrr as {{ type_money() }}) as mrr,
        cast(paused_mrr as {{ type_money() }}) as paused_mrr
    from judged

)

select * from final
