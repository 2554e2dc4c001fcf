{#- What the Python step `loyalty` posts. -#}
with logged as (

    select * from {{ ref('int_loyalty__logged') }}
    where customer_key is not null

),

customers as (

    select * from {{ ref('int_identity__customers') }}

),

final as (

    select
        cast(logged.customer_key as {{ type_string() }}) as customer_key,
        cast(coalesce(customers.account_type, 'b2c') as {{ type_string() }}) as audience,
        cast(logged.event_key as {{ type_string() }}) as event_key,
        cast(logged.event_type as {{ type_string() }}) as event_type,
        cast(logged.points as bigint) as points,
        cast(logged.occurred_at as timestamp) as occurred_at,
        cast(logged.occurred_date as date) as occurred_date,
        cast(logged.counts_until as date) as counts_until,
        cast(logged.expires_at as timestamp) as expires_at,
        cast(logged.order_key as {{ type_string() }}) as order_key
    from logged
    left join customers on logged.customer_key = customers.customer_key

)

select * from final
