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
        coalesce(lines_of_orders.net_revenue, 0) as right_amount,
        coalesce(lines_of_orders.refunded, 0) as refunded_on_lines,
        orders.refunded
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

sums as (

    select
        coalesce((select sum(orders.net_revenue) from orders), 0) as net_revenue,
        coalesce((select sum(orders.net_revenue + orders.refunded) from orders), 0) as before_refunds,
        coalesce((select sum(refunds.amount) from refunds), 0) as all_refunds,
        coalesce((select sum(refunds.amount) from refunds where refunds.order_key is null), 0) as refunds_without_order

),

-- revenue on order dates (refunds taken off their orders) against revenue less refunds on the days they happened
order_date_series as (

    select
        order_date as series_date,
        net_revenue as amount
    from orders
    union all
    select
        order_date as series_date,
        -amount as amount
    from refunds
    where order_key is null

),

refund_date_series as (

    select
        order_date as series_date,
        net_revenue + refunded as amount
    from orders
    union all
    select
        refund_date as series_date,
        -amount as amount
    from refunds

),

series_check as (

    select
        'the refund-date series adds up to the order-date series' as check_name,
        coalesce((select sum(order_date_series.amount) from order_date_series), 0) as left_amount,
        coalesce((select sum(refund_date_series.amount) from refund_date_series), 0) as right_amount,
        0 as differences

),

totals_check as (

    select
        'net revenue is what was sold less every refund' as check_name,
        net_revenue - refunds_without_order as left_amount,
        before_refunds - all_refunds as right_amount,
        0 as differences
    from sums

),

parts_check as (

    select
        'gross less discount, included tax and refunds is net' as check_name,
        sum(net_revenue) as left_amount,
        sum(gross_revenue - discount - included_tax - refunded) as right_amount,
        sum(case when net_revenue != gross_revenue - discount - included_tax - refunded then 1 else 0 end) as differences
    from orders

),

valid_check as (

    select
        'the mart has the valid orders and nothing else' as check_name,
        coalesce((select sum(orders.net_revenue + orders.refunded) from orders), 0) as left_amount,
        coalesce((select sum(classified.net_before_refunds) from classified), 0) as right_amount,
        abs((select count(*) from orders) - (select count(*) from classified)) as differences

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
