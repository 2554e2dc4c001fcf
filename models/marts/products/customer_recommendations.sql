with candidates as (

    select * from {{ ref('int_products__candidates') }}

),

customers as (

    select * from {{ ref('int_identity__customers') }}

),

products as (

    select * from {{ ref('products') }}

),

allowed as (

    select candidates.*
    from candidates
    inner join customers
        on candidates.customer_key = customers.customer_key
    where not customers.is_tombstone

),

newest_in_brand as (

    select
        *,
        row_number() over (partition by customer_key order by place asc) as place_in_reason
    from allowed
    where reason = 'newest_in_brand'

),

brand_picks as (

    select * from newest_in_brand
    where place_in_reason = 1

),

-- one product of the brand and another one of the category, so that they leave room for what goes with the last order
newest_in_category as (

    select
        allowed.*,
        row_number() over (partition by allowed.customer_key order by allowed.place asc) as place_in_reason
    from allowed
    left join brand_picks
        on
            allowed.customer_key = brand_picks.customer_key
            and allowed.product_key = brand_picks.product_key
    where
        allowed.reason = 'newest_in_category'
        and brand_picks.customer_key is null

),

picked as (

    select
        *,
        place as place_in_reason
    from allowed
    where reason in ('replenish_due', 'bought_together')
    union all
    select * from brand_picks
    union all
    select * from newest_in_category
    where place_in_reason = 1

),

-- one product, one reason: the first rule that proposes it
by_product as (

    select
        *,
        row_number() over (partition by customer_key, product_key order by reason_order asc) as proposal
    from picked

),

ranked as (

    select
        *,
        row_number() over (partition by customer_key order by reason_order asc, place asc) as customer_rank
    from by_product
    where proposal = 1

),

final as (

    select
        cast(ranked.customer_key as {{ type_string() }}) as customer_key,
        cast(ranked.customer_rank as integer) as rank,
        cast(ranked.product_key as {{ type_string() }}) as product_key,
        cast(ranked.reason as {{ type_string() }}) as reason,
        cast(ranked.because_product_key as {{ type_string() }}) as because_product_key,
        cast(products.name as {{ type_string() }}) as product_name,
        cast(products.brand as {{ type_string() }}) as brand,
        cast(products.category as {{ type_string() }}) as category,
        cast(products.in_stock as boolean) as in_stock,
        cast(ranked.last_bought_date as date) as last_bought_date,
        {{ as_of_date() }} as as_of_date
    from ranked
    inner join products
        on ranked.product_key = products.product_key
    where ranked.customer_rank <= {{ var('recommendations_per_customer') }}

)

select * from final
