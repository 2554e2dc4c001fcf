{{ config(materialized='touched', unique_key='customer_key') }}

with purchases as (

    select * from {{ ref('int_products__purchases') }}
    {{ only_touched('customer_key') }}

),

last_days as (

    select
        customer_key,
        max(order_date) as order_date
    from purchases
    group by customer_key

),

final as (

    select
        cast(purchases.customer_key as {{ type_string() }}) as customer_key,
        cast(purchases.product_key as {{ type_string() }}) as product_key,
        cast(purchases.order_date as date) as order_date,
        cast(row_number() over (
            partition by purchases.customer_key
            order by purchases.net_revenue desc, purchases.product_key asc
        ) as integer) as place
    from purchases
    inner join last_days
        on
            purchases.customer_key = last_days.customer_key
            and purchases.order_date = last_days.order_date

)

select * from final
