with

addresses as (

    select *
    from {{ source('identity', 'addresses') }}
    where kind = 'email' and value is not null

),

node_addresses as (

    select *
    from {{ source('identity', 'node_addresses') }}
    where kind = 'email'

),

-- an address of two customers (shared by too many, split by hand, b2b beside b2c) names neither
owned_addresses as (

    select
        value,
        min(customer_key) as customer_key
    from node_addresses
    group by value
    having count(distinct customer_key) = 1

),

final as (

    select
        cast(addresses.raw_value as {{ type_string() }}) as email,
        cast(owned_addresses.customer_key as {{ type_string() }}) as customer_key
    from addresses
    inner join owned_addresses on addresses.value = owned_addresses.value

)

select * from final
