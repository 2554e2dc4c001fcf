-- The rows of subscriptions that the subscription tier now stands for.
{{ after_the_subscription_tier() }}
with subscription_rows as (

    select * from {{ ref('int_changes__subscription_rows') }}

),

final as (

    select
        subscription_key,
        row_hashes
    from subscription_rows

)

select * from final
