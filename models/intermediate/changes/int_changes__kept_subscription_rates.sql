-- The exchange rates that the subscription tier now stands for.
{{ after_the_subscription_tier() }}
with exchange_rates as (

    select * from {{ ref('int_subscriptions__exchange_rates') }}

),

final as (

    select
        currency,
        business_date,
        fx_rate
    from exchange_rates

)

select * from final
