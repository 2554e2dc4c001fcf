-- An alias of a system's entity is one customer's, each customer has exactly one current key, and every customer's key
-- is an alias of itself.
with

aliases as (

    select * from {{ ref('customer_aliases') }}

),

repeated as (

    select
        alias,
        'alias of two customers' as problem
    from aliases
    group by system, entity, alias
    having count(*) > 1

),

keyless as (

    select
        customer_key as alias,
        'customer without exactly one current key' as problem
    from aliases
    group by customer_key
    having sum(case when is_current_key then 1 else 0 end) != 1

),

final as (

    select * from repeated
    union all
    select * from keyless

)

select * from final
