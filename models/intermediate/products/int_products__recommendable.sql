with products as (

    select * from {{ ref('products') }}

),

final as (

    select
        cast(product_key as {{ type_string() }}) as product_key,
        cast(brand as {{ type_string() }}) as brand,
        cast(category as {{ type_string() }}) as category,
        cast(launched_at as timestamp) as launched_at,
        coalesce(is_consumable, false) as is_consumable
    from products
    where
        -- the catalogue doesn't have it any more, or never had
        is_listed
        -- unknown is in stock
        and coalesce(in_stock, true)
        and (launched_at is null or {{ business_date('launched_at') }} <= {{ as_of_date() }})

)

select * from final
