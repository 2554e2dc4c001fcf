-- The plans' terms that the subscription tier now stands for.
{{ after_the_subscription_tier() }}
with plans as (

    {{ plan_terms() }}

),

final as (

    select
        system,
        plan_id,
        price,
        billing_interval,
        interval_count
    from plans

)

select * from final
