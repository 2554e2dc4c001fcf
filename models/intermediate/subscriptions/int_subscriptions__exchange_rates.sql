-- The rate of every currency on every business day on which a subscription's price took effect.
with terms as (

    select * from {{ ref('int_subscriptions__terms') }}

),

needed as (

    select distinct
        currency,
        price_date as business_date
    from terms

),

found as (

    select * from {{ rates_of('needed') }} as rates

),

final as (

    select
        cast(currency as {{ type_string() }}) as currency,
        cast(business_date as date) as business_date,
        cast(fx_rate as decimal(18, 10)) as fx_rate
    from found

)

select * from final
