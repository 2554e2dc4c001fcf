-- An order is one row.
select
    system,
    order_id,
    count(*) as row_count
from {{ ref('int_identity__order_customers') }}
group by system, order_id
having count(*) > 1
