-- What the heavy tier reads of an order's refunds, as one number.
with refunds as (

    select * from {{ ref('int_refunds__classified') }}
    where outcome = 'counts' and order_key is not null and {{ takes_fingerprints() | string | lower }}

),

hashed as (

    select
        order_key,
        system,
        sum({{ row_hash('refunds') }}) as row_hashes
    from refunds
    group by order_key, system

),

final as (

    select
        cast(order_key as {{ type_string() }}) as order_key,
        cast(substring(order_key, length(system) + 2) as {{ type_string() }}) as order_id,
        cast(row_hashes as decimal(38, 0)) as row_hashes
    from hashed

)

select * from final
