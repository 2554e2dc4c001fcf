-- Of each customer all that the lifecycle's tables read beside order days and thresholds, as one number.
with lines as (

    select * from {{ ref('int_lifecycle__lines') }}
    where {{ takes_fingerprints() | string | lower }}

),

live_spans as (

    select * from {{ ref('int_subscriptions__live_spans') }}
    where {{ takes_fingerprints() | string | lower }}

),

contacts as (

    select * from {{ ref('int_lifecycle__contacts') }}
    where {{ takes_fingerprints() | string | lower }}

),

hashed as (

    select
        customer_key,
        {{ row_hash('lines') }} as row_hash
    from lines
    union all
    select
        customer_key,
        {{ row_hash('live_spans') }} as row_hash
    from live_spans
    union all
    select
        customer_key,
        {{ row_hash('contacts') }} as row_hash
    from contacts

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(sum(row_hash) as decimal(38, 0)) as row_hashes
    from hashed
    group by customer_key

)

select * from final
