-- Ranks 1, 2, … of each customer, each product once, no more than the policy's number.
select customer_key
from {{ ref('customer_recommendations') }}
group by customer_key
having
    min(rank) != 1
    or max(rank) != count(*)
    or count(distinct rank) != count(*)
    or count(distinct product_key) != count(*)
    or count(*) > {{ var('recommendations_per_customer') }}
