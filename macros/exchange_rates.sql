{#- The rate of each needed (currency, business_date): the latest on or before the day, at most `fx_max_age_days` old;
    on that day the pair as quoted before its inverse, then the system's name. Rates are the shop's, whichever system
    delivers them. `needed` is a CTE with the two columns; the result is a relation, a row for each that has a rate. -#}
{% macro rates_of(needed) -%}
{%- set reporting = "'" ~ (var('reporting_currency') | upper) ~ "'" -%}
(
    select
        currency,
        business_date,
        rate_date,
        fx_rate,
        is_inverse
    from (
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
        from {{ needed }} as needed
        inner join (
            select
                upper(from_currency) as currency,
                upper(to_currency) as quote_currency,
                event_date as rate_date,
                rate as quoted_rate,
                cast(rate as decimal(18, 10)) as fx_rate,
                false as is_inverse,
                system
            from {{ ref('int_canonical__exchange_rates') }}
            where row_status = 'current' and not is_after_as_of and rate > 0
            union all
            select
                upper(to_currency) as currency,
                upper(from_currency) as quote_currency,
                event_date as rate_date,
                rate as quoted_rate,
                {{ safe_cast(ratio(1, 'rate'), 'decimal(18, 10)') }} as fx_rate,
                true as is_inverse,
                system
            from {{ ref('int_canonical__exchange_rates') }}
            where row_status = 'current' and not is_after_as_of and rate > 0
        ) as quoted
            on
                needed.currency = quoted.currency
                and needed.business_date >= quoted.rate_date
                and quoted.rate_date >= {{ add_days('needed.business_date', '-' ~ var('fx_max_age_days')) }}
        where
            needed.currency != {{ reporting }}
            and quoted.quote_currency = {{ reporting }}
            and quoted.fx_rate > 0
    ) as candidates
    where preference = 1
    union all
    select
        currency,
        business_date,
        business_date as rate_date,
        cast(1 as decimal(18, 10)) as fx_rate,
        false as is_inverse
    from {{ needed }}
    where currency = {{ reporting }}
)
{%- endmacro %}
