-- Each campaign's plan names an arm once, and its shares don't exceed the whole.
select campaign_id
from {{ ref('campaign_arm_shares') }}
group by campaign_id
having
    sum(planned_share) > 1
    or min(planned_share) <= 0
    or count(distinct arm) != count(*)
