-- From the start on: each interval ends where the next begins, only the last is open, none is empty.
with intervals as (

    select
        *,
        lead(valid_from) over (partition by subscription_key order by valid_from) as next_from
    from {{ ref('subscription_states') }}

)

select
    subscription_key,
    valid_from
from intervals
where valid_to is distinct from next_from or valid_to <= valid_from
