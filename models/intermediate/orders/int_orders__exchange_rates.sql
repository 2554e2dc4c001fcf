-- The rate of every currency on every business day on which it is needed: a few thousand rows, so that joining it
-- multiplies nothing. Rates are the shop's, whichever system delivers them.
with orders as (

    select * from {{ ref('int_canonical__orders') }}
    where row_status = 'current' and not is_after_as_of

),

refunds as (

    select * from {{ ref('int_canonical__refunds') }}
    where row_status = 'current' and not is_after_as_of and order_id is null

),

rates as (

    select * from {{ ref('int_canonical__exchange_rates') }}
    where row_status = 'current' and not is_after_as_of

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

quoted as (

    select
        upper(from_currency) as currency,
        upper(to_currency) as quote_currency,
        event_date as rate_date,
        rate as quoted_rate,
        cast(rate as decimal(18, 10)) as fx_rate,
        false as is_inverse,
        system
    from rates
    where rate > 0
    union all
    select
        upper(to_currency) as currency,
        upper(from_currency) as quote_currency,
        event_date as rate_date,
        rate as quoted_rate,
        {{ safe_cast(ratio(1, 'rate'), 'decimal(18, 10)') }} as fx_rate,
        true as is_inverse,
        system
    from rates
    where rate > 0

),

-- the latest day; on that day the pair as quoted before its inverse, then the system's name
candidates as (

    select
        needed.currency,
        needed.business_date,
        quoted.rate_date,
        quoted.fx_rate,
        quoted.is_inverse,
        row_number() over (
            partition by needed.currency, needed.business_date
            order by quoted.rate_date desc, quoted.is_inverse asc, quoted.system asc, quoted.quoted_rate asc
        ) as preference
    from needed
    inner join quoted
        on
            needed.currency = quoted.currency
            and needed.business_date >= quoted.rate_date
            and quoted.rate_date >= {{ add_days('needed.business_date', '-' ~ var('fx_max_age_days')) }}
    where
        needed.currency != '{{ var('reporting_currency') | upper }}'
        and quoted.quote_currency = '{{ var('reporting_currency') | upper }}'
        and quoted.fx_rate > 0

),

reporting as (

    select
        currency,
        business_date,
        business_date as rate_date,
        cast(1 as decimal(18, 10)) as fx_rate,
        false as is_inverse
    from needed
    where currency = '{{ var('reporting_currency') | upper }}'

),

found as (

    select
        currency,
        business_date,
        rate_date,
        fx_rate,
        is_inverse
    from candidates
    where preference = 1
    union all
    select * from reporting

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
