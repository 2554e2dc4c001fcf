-- rfm_segment, dates and counts of `customers` agree on who has ordered.
select
    customer_key,
    orders,
    rfm_segment,
    first_order_date,
    last_order_date
from {{ ref('customers') }}
where
    (rfm_segment = 'prospect') <> (orders = 0)
    or (rfm_segment_125 = 'prospect') <> (orders = 0)
    or (first_order_date is null) <> (orders = 0)
    or (last_order_date is null) <> (orders = 0)
    or (r_score is null) <> (orders = 0)
    or (second_order_date is not null) <> (orders > 1)
    or order_days > orders
    or last_order_date > as_of_date
