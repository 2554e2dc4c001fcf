{#- The period closes at which a customer is a buyer and not lapsed, as ranges: a spell covers the closes from the
    period it begins in to the one before the period it ends in. Whoever lapses and is back before the close was
    never lost to that period, so ranges that touch are one. -#}
with spells as (

    select * from {{ ref('int_rates__spells') }}

),

periods as (

    select * from {{ rate_periods() }} as periods

),

covered as (

    select
        spells.customer_key,
        periods.period_type,
        {{ integer_divide(month_index('spells.buyer_since'), 'periods.months') }} as first_period,
        {{ integer_divide(month_index('spells.spell_from'), 'periods.months') }} as first_close,
        case
            when spells.spell_to is null then {{ integer_divide(month_index(as_of_date()), 'periods.months') }}
            else {{ integer_divide(month_index('spells.spell_to'), 'periods.months') }} - 1
        end as last_close
    from spells
    cross join periods

),

marked as (

    select
        *,
        case
            when
                first_close = lag(last_close) over (partition by customer_key, period_type order by first_close asc) + 1
                then 0
            else 1
        end as is_apart
    from covered
    -- a spell within one period covers no close
    where first_close <= last_close

),

numbered as (

    select
        *,
        sum(is_apart) over (
            partition by customer_key, period_type
            order by first_close asc rows between unbounded preceding and current row
        ) as range_number
    from marked

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(period_type as {{ type_string() }}) as period_type,
        cast(min(first_close) as bigint) as first_close,
        cast(max(last_close) as bigint) as last_close,
        cast(min(first_period) as bigint) as first_period
    from numbered
    group by customer_key, period_type, range_number

)

select * from final
