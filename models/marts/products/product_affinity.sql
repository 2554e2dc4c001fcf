with pairs as (

    select * from {{ ref('int_products__pairs') }}

),

product_orders as (

    select * from {{ ref('int_products__product_orders') }}

),

basket_counts as (

    select * from {{ ref('int_products__basket_counts') }}

),

-- no row where nothing was sold; then there is no pair either
totals as (

    select
        sum(counted_baskets) as baskets,
        sum(large_baskets) as large_baskets
    from basket_counts

),

both_directions as (

    select
        product_number,
        other_product_number,
        orders
    from pairs
    union all
    select
        other_product_number as product_number,
        product_number as other_product_number,
        orders
    from pairs

),

final as (

    select
        cast(a.product_key as {{ type_string() }}) as product_key,
        cast(b.product_key as {{ type_string() }}) as other_product_key,
        cast(both_directions.orders as bigint) as pair_orders,
        cast(a.orders as bigint) as product_orders,
        cast(b.orders as bigint) as other_product_orders,
        cast(totals.baskets as bigint) as baskets,
        cast(totals.large_baskets as bigint) as large_baskets,
        {{ ratio('both_directions.orders', 'totals.baskets') }} as support,
        {{ ratio('a.orders', 'totals.baskets') }} as product_support,
        {{ ratio('both_directions.orders', 'a.orders') }} as confidence,
        -- whole products on both sides, so that a pair has one lift, whichever way round
        {{ ratio(
            'cast(both_directions.orders as ' ~ type_wide_integer() ~ ') * totals.baskets',
            'cast(a.orders as ' ~ type_wide_integer() ~ ') * b.orders'
        ) }} as lift
    from both_directions
    inner join product_orders as a
        on both_directions.product_number = a.product_number
    inner join product_orders as b
        on both_directions.other_product_number = b.product_number
    cross join totals

)

select * from final
