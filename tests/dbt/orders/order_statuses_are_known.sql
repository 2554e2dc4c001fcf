{{ config(severity='warn') }}

-- An unknown status counts as valid: whoever runs the shop should say which list it belongs to.
select
    status,
    count(*) as orders
from {{ ref('int_orders__classified') }}
where is_unknown_status
group by status
