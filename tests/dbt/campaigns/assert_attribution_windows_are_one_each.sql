-- Each channel and type once, else an order could be credited to the same touch twice.
select
    channel,
    type
from {{ ref('attribution_windows') }}
group by channel, type
having count(*) > 1 or min(window_hours) < 1
