-- `in_stock` and `last_bought_date` are read again from the catalogue and the purchases when the mart is put together.
select
    customer_key,
    product_key
from {{ ref('customer_recommendations') }}
where
    not coalesce(in_stock, true)
    or {{ days_between('last_bought_date', 'as_of_date') }} <= {{ var('recommend_not_within_days') }}
    or (reason = 'replenish_due') != (last_bought_date is not null)
