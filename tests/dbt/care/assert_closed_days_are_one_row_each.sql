select
    calendar,
    closed_on
from {{ ref('support_closed_days') }}
group by calendar, closed_on
having count(*) > 1
