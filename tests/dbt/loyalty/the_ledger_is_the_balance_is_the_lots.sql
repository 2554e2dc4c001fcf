-- At every entry: the running sum of points is the balance, of its lot what the lot holds, and neither is ever below 0.
with ledger as (

    select
        *,
        sum(points) over (
            partition by customer_key order by entry_number asc rows between unbounded preceding and current row
        ) as summed,
        sum(points) over (
            partition by customer_key, lot_key
            order by entry_number asc rows between unbounded preceding and current row
        ) as lot_summed,
        lag(entered_at) over (partition by customer_key order by entry_number asc) as entered_before
    from {{ ref('loyalty_ledger') }}

)

select
    customer_key,
    entry_number
from ledger
where
    summed != balance
    or lot_summed != lot_balance
    or balance < 0
    or lot_balance < 0
    or points = 0
    or entered_at < entered_before
