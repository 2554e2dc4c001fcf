-- A shop account is one customer's.
select
    system,
    customer_id,
    count(*) as row_count
from {{ ref('int_identity__customer_ids') }}
group by system, customer_id
having count(*) > 1
