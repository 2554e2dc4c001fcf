-- Today's table, tidied: what the row says of state, pause, cancellation, terms and coupon. The snapshot keeps what it
-- said on every day before.
with subscriptions as (

    select * from {{ ref('int_canonical__subscriptions') }}
    where row_status = 'current'

),

plans as (

    select * from {{ ref('int_canonical__plans') }}
    where row_status = 'current'

),

tidied as (

    select
        *,
        case lower(trim(status)) when 'canceled' then 'cancelled' else lower(trim(status)) end as today_status,
        lower(trim({{ adapter.quote('interval') }})) as billing_interval
    from subscriptions

),

final as (

    select
        cast(tidied.system || ':' || tidied.subscription_id as {{ type_string() }}) as subscription_key,
        cast(tidied.system as {{ type_string() }}) as system,
        cast(tidied.subscription_id as {{ type_string() }}) as subscription_id,
        cast(tidied.customer_id as {{ type_string() }}) as customer_id,
        cast(tidied.email as {{ type_string() }}) as email,
        cast(tidied.today_status as {{ type_string() }}) as today_status,
        cast(tidied.plan_id as {{ type_string() }}) as plan_id,
        cast(coalesce(tidied.price, plans.price) as {{ type_price() }}) as price,
        cast(
            coalesce(tidied.billing_interval, lower(trim(plans.{{ adapter.quote('interval') }}))) as {{ type_string() }}
        ) as billing_interval,
        cast(case
            when tidied.billing_interval is not null then coalesce(tidied.interval_count, 1)
            else coalesce(plans.interval_count, 1)
        end as bigint) as interval_count,
        cast(coalesce(tidied.quantity, 1) as bigint) as quantity,
        cast({{ currency_of('tidied.currency') }} as {{ type_string() }}) as currency,
        cast(tidied.discount_amount as {{ type_price() }}) as discount_amount,
        cast(tidied.discount_percent as {{ type_price() }}) as discount_percent,
        -- a row without a coupon says that there is none
        cast(case
            when tidied.discount_duration is null and tidied.discount_amount is null and tidied.discount_percent is null
                then 'none'
            else lower(trim(tidied.discount_duration))
        end as {{ type_string() }}) as discount_duration,
        tidied.discount_ends_at,
        tidied.started_at,
        tidied.trial_end,
        tidied.pause_start,
        tidied.pause_end,
        tidied.cancel_at,
        tidied.cancelled_at,
        tidied.ended_at,
        tidied.updated_at,
        cast(tidied.cancel_reason as {{ type_string() }}) as cancel_reason,
        tidied.is_after_as_of
    from tidied
    left join plans
        on tidied.system = plans.system and tidied.plan_id = plans.plan_id

)

select * from final
