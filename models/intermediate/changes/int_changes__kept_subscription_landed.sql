-- What had landed of subscriptions when this run was done: what the next run's chunks are compared with.
{{ after_the_subscription_tier() }}
with landed as (

    select * from {{ ref('int_changes__subscription_landed') }}
    {% if not takes_fingerprints('subscriptions') %}where false{% endif %}

),

final as (

    select
        entity,
        batch,
        chunk,
        row_count,
        row_hashes
    from landed

)

select * from final
