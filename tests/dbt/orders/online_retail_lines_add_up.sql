-- No line of the file is lost on its way to orders and refunds.
select
    landed_lines,
    order_item_rows
from {{ ref('int_online_retail__accounts') }}
where
    landed_lines != order_lines + return_lines + fee_lines + unreadable_lines
    or order_item_rows != order_lines + unreadable_lines
    or bad_order_item_rows != unreadable_lines
