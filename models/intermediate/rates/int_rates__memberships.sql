{{ config(
    materialized='touched', unique_key='customer_key',
    meta={'touched_by': 'int_changes__lifecycle_customers', 'decided_by': 'int_changes__lifecycle_run'}
) }}
{#- The period closes at which a customer is a buyer and not lapsed, as ranges: a spell covers the closes from the
    period it begins in to the one before the period it ends in. Whoever lapses and is back before the close was
    never lost to that period, so ranges that touch are one. A range that is still open has no last close: a day that
    passes changes no row here. -#}
with spells as (

    select * from {{ ref('int_rates__spells') }}
    {{ only_listed('customer_key', 'int_changes__lifecycle_customers') }}

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
        {{ integer_divide(month_index('spells.spell_to'), 'periods.months') }} - 1 as last_close
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
    where first_close <= last_close or last_close is null

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
        cast(case when count(*) = count(last_close) then max(last_close) end as bigint) as last_close,
        cast(min(first_period) as bigint) as first_period
    from numbered
    group by customer_key, period_type, range_number

)

select * from final
