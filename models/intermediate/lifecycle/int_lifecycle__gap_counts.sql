with order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

lines as (

    select * from {{ ref('int_lifecycle__lines') }}

),

gaps as (

    select
        customer_key,
        order_date,
        {{ days_between('previous_order_date', 'order_date') }} as gap_days
    from order_days
    where previous_order_date is not null

),

final as (

    select
        lines.business_line,
        {{ month_start('gaps.order_date') }} as completed_month,
        cast(gaps.gap_days as integer) as gap_days,
        cast(count(*) as bigint) as gaps
    from gaps
    inner join lines on gaps.customer_key = lines.customer_key
    group by 1, 2, 3

)

select * from final
