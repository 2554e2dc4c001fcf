-- A product that only lines of valid orders know has a row as well, so that every line finds its product.
with products as (

    select * from {{ ref('int_canonical__products') }}
    where row_status = 'current'

),

items as (

    select * from {{ ref('order_items') }}

),

sold as (

    select distinct
        product_key,
        system,
        product_id
    from items

),

listed as (

    select
        *,
        system || ':' || product_id as product_key
    from products

),

unlisted as (

    select sold.*
    from sold
    left join listed
        on sold.product_key = listed.product_key
    where listed.product_key is null

),

all_products as (

    select
        product_key,
        system,
        product_id,
        name,
        brand,
        category,
        price,
        cost,
        is_consumable,
        launched_at,
        in_stock,
        true as is_listed
    from listed
    union all
    select
        product_key,
        system,
        product_id,
        null as name,
        null as brand,
        null as category,
        null as price,
        null as cost,
        null as is_consumable,
        null as launched_at,
        null as in_stock,
        false as is_listed
    from unlisted

),

final as (

    select
        cast(product_key as {{ type_string() }}) as product_key,
        cast(system as {{ type_string() }}) as system,
        cast(product_id as {{ type_string() }}) as product_id,
        cast(name as {{ type_string() }}) as name,
        cast(brand as {{ type_string() }}) as brand,
        cast(category as {{ type_string() }}) as category,
        cast(price as {{ type_price() }}) as price,
        cast(cost as {{ type_price() }}) as cost,
        cast(is_consumable as boolean) as is_consumable,
        cast(launched_at as timestamp) as launched_at,
        cast(in_stock as boolean) as in_stock,
        cast(is_listed as boolean) as is_listed
    from all_products

)

select * from final
