with baskets as (

    select * from {{ ref('int_products__baskets') }}

),

final as (

    select
        cast(system as {{ type_string() }}) as system,
        cast(count(*) as bigint) as baskets,
        cast(sum(case when is_counted then 1 else 0 end) as bigint) as counted_baskets,
        cast(sum(case when is_counted then 0 else 1 end) as bigint) as large_baskets,
        cast(max(products) as bigint) as largest_basket
    from baskets
    group by system

)

select * from final
