{{ config(materialized='touched', unique_key='customer_key') }}

with purchases as (

    select * from {{ ref('int_products__purchases') }}
    {{ only_touched('customer_key') }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(product_key as {{ type_string() }}) as product_key,
        cast(count(*) as bigint) as purchase_days,
        cast(sum(quantity) as {{ type_price() }}) as quantity,
        cast(min(order_date) as date) as first_order_date,
        cast(min(case when purchase_number = 2 then order_date end) as date) as second_order_date,
        cast(max(order_date) as date) as last_order_date
    from purchases
    group by customer_key, product_key

)

select * from final
