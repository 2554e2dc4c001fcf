-- The same revenue by order, by line, by order date and by refund date.
select
    check_name,
    left_amount,
    right_amount,
    differences
from {{ ref('int_orders__reconciliation') }}
where left_amount != right_amount or differences != 0
