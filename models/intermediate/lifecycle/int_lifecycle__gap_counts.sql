with order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

lines as (

    select * from {{ ref('int_lifecycle__lines') }}

),

gaps as (

    select
        order_days.customer_key,
        order_days.order_date,
        {{ days_between(
            'lag(order_days.order_date) over (partition by order_days.customer_key order by order_days.order_date)',
            'order_days.order_date'
        ) }} as gap_days
    from order_days

),

final as (

    select
        lines.business_line,
        {{ month_start('gaps.order_date') }} as completed_month,
        cast(gaps.gap_days as integer) as gap_days,
        cast(count(*) as bigint) as gaps
    from gaps
    inner join lines on gaps.customer_key = lines.customer_key
    where gaps.gap_days is not null
    group by 1, 2, 3

)

select * from final
