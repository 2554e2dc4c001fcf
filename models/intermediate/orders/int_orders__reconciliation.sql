-- The same revenue, added up along every road. Each check is a row with what either side says and how many orders or
-- days differ; a singular test wants zero differences.
with orders as (

    select * from {{ ref('orders') }}

),

order_items as (

    select * from {{ ref('order_items') }}

),

refunds as (

    select * from {{ ref('refunds') }}

),

classified as (

    select * from {{ ref('int_orders__classified') }}
    where outcome = 'valid'

),

lines_of_orders as (

    select
        order_key,
        sum(net_revenue) as net_revenue,
        sum(refunded) as refunded
    from order_items
    group by order_key

),

orders_with_lines as (

    select
        orders.net_revenue as left_amount,
        orders.refunded,
        coalesce(lines_of_orders.net_revenue, 0) as right_amount,
        coalesce(lines_of_orders.refunded, 0) as refunded_on_lines
    from orders
    left join lines_of_orders
        on orders.order_key = lines_of_orders.order_key
    where orders.items > 0 or lines_of_orders.order_key is not null

),

lines_check as (

    select
        'lines of each order add up to the order' as check_name,
        sum(left_amount) as left_amount,
        sum(right_amount) as right_amount,
        sum(case when left_amount != right_amount or refunded_on_lines != refunded then 1 else 0 end) as differences
    from orders_with_lines

),

refunds_of_orders as (

    select
        order_key,
        sum(amount) as refunded
    from refunds
    where order_key is not null
    group by order_key

),

refund_pairs as (

    select
        coalesce(orders.refunded, 0) as left_amount,
        coalesce(refunds_of_orders.refunded, 0) as right_amount
    from orders
    full outer join refunds_of_orders
        on orders.order_key = refunds_of_orders.order_key

),

refunds_check as (

    select
        'refunds of each order add up to what was taken off it' as check_name,
        sum(left_amount) as left_amount,
        sum(right_amount) as right_amount,
        sum(case when left_amount != right_amount then 1 else 0 end) as differences
    from refund_pairs

),

sold as (

    select
        count(*) as orders,
        coalesce(sum(net_revenue), 0) as net_revenue,
        coalesce(sum(net_revenue + refunded), 0) as before_refunds
    from orders

),

given_back as (

    select
        coalesce(sum(amount), 0) as all_refunds,
        coalesce(sum(case when order_key is null then amount end), 0) as refunds_without_order
    from refunds

),

expected as (

    select
        count(*) as orders,
        coalesce(sum(net_before_refunds), 0) as before_refunds
    from classified

),

-- The order-date series: a refund lowers its order's day. The refund-date series: it stands on its own day. By month,
-- then all months.
order_date_series as (

    select
        {{ month_start('order_date') }} as series_month,
        sum(net_revenue) as amount
    from orders
    group by {{ month_start('order_date') }}
    union all
    select
        {{ month_start('order_date') }} as series_month,
        sum(-amount) as amount
    from refunds
    where order_key is null
    group by {{ month_start('order_date') }}

),

refund_date_series as (

    select
        {{ month_start('order_date') }} as series_month,
        sum(net_revenue + refunded) as amount
    from orders
    group by {{ month_start('order_date') }}
    union all
    select
        {{ month_start('refund_date') }} as series_month,
        sum(-amount) as amount
    from refunds
    group by {{ month_start('refund_date') }}

),

order_date_total as (

    select coalesce(sum(amount), 0) as amount from order_date_series

),

refund_date_total as (

    select coalesce(sum(amount), 0) as amount from refund_date_series

),

series_check as (

    select
        'the refund-date series adds up to the order-date series' as check_name,
        order_date_total.amount as left_amount,
        refund_date_total.amount as right_amount,
        0 as differences
    from order_date_total
    cross join refund_date_total

),

totals_check as (

    select
        'net revenue is what was sold less every refund' as check_name,
        sold.net_revenue - given_back.refunds_without_order as left_amount,
        sold.before_refunds - given_back.all_refunds as right_amount,
        0 as differences
    from sold
    cross join given_back

),

parts_check as (

    select
        'gross less discount, included tax and refunds is net' as check_name,
        sum(net_revenue) as left_amount,
        sum(gross_revenue - discount - included_tax - refunded) as right_amount,
        sum(
            case when net_revenue != gross_revenue - discount - included_tax - refunded then 1 else 0 end
        ) as differences
    from orders

),

valid_check as (

    select
        'the mart has the valid orders and nothing else' as check_name,
        sold.before_refunds as left_amount,
        expected.before_refunds as right_amount,
        abs(sold.orders - expected.orders) as differences
    from sold
    cross join expected

),

checks as (

    select * from lines_check
    union all
    select * from refunds_check
    union all
    select * from series_check
    union all
    select * from totals_check
    union all
    select * from parts_check
    union all
    select * from valid_check

),

final as (

    select
        cast(check_name as {{ type_string() }}) as check_name,
        cast(coalesce(left_amount, 0) as {{ type_money() }}) as left_amount,
        cast(coalesce(right_amount, 0) as {{ type_money() }}) as right_amount,
        cast(coalesce(differences, 0) as bigint) as differences
    from checks

)

select * from final
