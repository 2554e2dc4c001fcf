{{ config(materialized='touched', unique_key='customer_key') }}

with purchases as (

    select * from {{ ref('int_products__purchases') }}
    {{ only_touched('customer_key') }}

),

-- Most products are bought once by a customer: those rows are their own sum. Only what was bought again is grouped.
bought_once as (

    select
        customer_key,
        product_key,
        1 as purchase_days,
        quantity,
        order_date as first_order_date,
        cast(null as date) as second_order_date,
        order_date as last_order_date
    from purchases
    where
        previous_order_date is null
        and next_order_date is null

),

bought_again as (

    select
        customer_key,
        product_key,
        count(*) as purchase_days,
        sum(quantity) as quantity,
        min(order_date) as first_order_date,
        min(case when purchase_number = 2 then order_date end) as second_order_date,
        max(order_date) as last_order_date
    from purchases
    where
        previous_order_date is not null
        or next_order_date is not null
    group by customer_key, product_key

),

customer_products as (

    select * from bought_once
    union all
    select * from bought_again

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(product_key as {{ type_string() }}) as product_key,
        cast(purchase_days as bigint) as purchase_days,
        cast(quantity as {{ type_price() }}) as quantity,
        cast(first_order_date as date) as first_order_date,
        cast(second_order_date as date) as second_order_date,
        cast(last_order_date as date) as last_order_date
    from customer_products

)

select * from final
