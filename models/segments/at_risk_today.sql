-- Who became at risk since the last run that the audience's destination acknowledged, at most some days back: a run
-- that was missed loses nobody, and a repeat of a day finds the same people.
with at_risk as (

    select * from {{ ref('at_risk') }}

),

acknowledged as (

    select * from {{ source('publish_history', 'segment_acknowledged') }}
    where segment = 'at_risk_today'

),

-- without an acknowledged run, or with a very old one, the limit alone holds
since as (

    select
        greatest(
            coalesce(
                max(case when acknowledged_as_of < {{ as_of_date() }} then acknowledged_as_of end),
                {{ add_days(as_of_date(), '-' ~ var('segment_entrants_within_days')) }}
            ),
            {{ add_days(as_of_date(), '-' ~ var('segment_entrants_within_days')) }}
        ) as after_date
    from acknowledged

),

members as (

    select at_risk.*
    from at_risk
    cross join since
    where at_risk.at_risk_since > since.after_date

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(risk as {{ type_string() }}) as risk,
        cast(at_risk_since as date) as at_risk_since,
        cast(last_order_date as date) as last_order_date,
        cast(first_category as {{ type_string() }}) as first_category,
        cast(orders as bigint) as orders,
        cast(net_revenue as {{ type_money() }}) as net_revenue,
        cast(predicted_value_365d as {{ type_money() }}) as predicted_value_365d
    from members

)

select * from final
