select customer_key
from {{ ref('customer_nps') }}
group by customer_key
having
    sum(case when is_latest then 1 else 0 end) != 1
    or max(responded_at) != max(case when is_latest then responded_at end)
    or count(*) != count(distinct survey)
