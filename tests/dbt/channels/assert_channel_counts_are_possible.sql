-- One row per customer and channel; nobody reacts to more than was delivered; who is reachable has consented; ranks
-- have no holes and nobody's stated preference is beaten.
select
    customer_key,
    min(channel) as channel
from {{ ref('channel_engagement') }}
group by customer_key
having
    count(distinct channel) != count(*)
    or max(case when engaged > delivered then 1 else 0 end) = 1
    or max(case when is_reachable and not has_consent then 1 else 0 end) = 1
    or coalesce(max(preferred_rank), 0) != count(preferred_rank)
    or max(case when is_stated_preference and preferred_rank > 1 then 1 else 0 end) = 1
