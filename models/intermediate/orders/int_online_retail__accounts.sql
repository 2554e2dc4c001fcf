-- Where the lines of the file went. Lines become invoices in orders and refunds, so their rows can't be compared with
-- the file's; this is the account that can.
with lines as (

    select * from {{ ref('stg_online_retail__lines') }}

),

order_items as (

    select * from {{ ref('stg_online_retail__order_items') }}

),

lines_by_kind as (

    select
        count(*) as landed_lines,
        sum(case when kind in ('sale', 'adjustment', 'credit_note') then 1 else 0 end) as order_lines,
        sum(case when kind = 'return' then 1 else 0 end) as return_lines,
        sum(case when kind = 'fee' then 1 else 0 end) as fee_lines,
        sum(case when kind = 'unreadable' then 1 else 0 end) as unreadable_lines
    from lines

),

item_rows as (

    select
        count(*) as order_item_rows,
        sum(case when bad_column is not null then 1 else 0 end) as bad_order_item_rows
    from order_items

),

final as (

    select
        cast(lines_by_kind.landed_lines as bigint) as landed_lines,
        cast(coalesce(lines_by_kind.order_lines, 0) as bigint) as order_lines,
        cast(coalesce(lines_by_kind.return_lines, 0) as bigint) as return_lines,
        cast(coalesce(lines_by_kind.fee_lines, 0) as bigint) as fee_lines,
        cast(coalesce(lines_by_kind.unreadable_lines, 0) as bigint) as unreadable_lines,
        cast(item_rows.order_item_rows as bigint) as order_item_rows,
        cast(coalesce(item_rows.bad_order_item_rows, 0) as bigint) as bad_order_item_rows
    from lines_by_kind
    cross join item_rows

)

select * from final
