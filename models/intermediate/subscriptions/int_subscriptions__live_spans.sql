{#- Filled by the subscription states; until then nobody has a live subscription. -#}
with customers as (

    select * from {{ ref('int_identity__customers') }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(null as date) as live_from,
        cast(null as date) as live_to
    from customers
    where false

)

select * from final
