-- One credit per order, over all campaigns and channels. A credit is the order's own revenue, so together they can't
-- exceed it.
select order_key
from {{ ref('int_campaigns__credits') }}
group by order_key
having count(*) > 1
