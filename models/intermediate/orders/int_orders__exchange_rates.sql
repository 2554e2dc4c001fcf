-- The rate of every currency on every business day on which an order or a refund needs it: a few thousand rows, so
-- that joining it multiplies nothing.
with orders as (

    select * from {{ ref('int_canonical__orders') }}
    where row_status = 'current' and not is_after_as_of

),

refunds as (

    select * from {{ ref('int_canonical__refunds') }}
    where row_status = 'current' and not is_after_as_of and order_id is null

),

needed as (

    select distinct
        {{ currency_of('currency') }} as currency,
        event_date as business_date
    from orders
    union
    select distinct
        {{ currency_of('currency') }} as currency,
        event_date as business_date
    from refunds

),

found as (

    select * from {{ rates_of('needed') }} as rates

),

final as (

    select
        cast(currency as {{ type_string() }}) as currency,
        cast(business_date as date) as business_date,
        cast(rate_date as date) as rate_date,
        cast(fx_rate as decimal(18, 10)) as fx_rate,
        cast(is_inverse as boolean) as is_inverse,
        cast({{ days_between('rate_date', 'business_date') }} as integer) as rate_age_days
    from found

)

select * from final
