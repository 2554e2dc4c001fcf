{#- MetricFlow fills holes with it: whole months of all history; on an empty warehouse the as-of month. -#}
{%- set first_day -%}
coalesce(
    (
        select least(min(order_date), (select min(valid_from) from {{ ref('lifecycle_history') }}))
        from {{ ref('orders') }}
    ),
    (select min(valid_from) from {{ ref('lifecycle_history') }}),
    {{ as_of_date() }}
)
{%- endset -%}
with days as (

    select series_date from {{ date_series(month_start(first_day), as_of_date()) }} as days

),

final as (

    select cast(series_date as date) as date_day
    from days

)

select * from final
