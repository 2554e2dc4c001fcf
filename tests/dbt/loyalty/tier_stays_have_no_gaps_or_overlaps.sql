with stays as (

    select
        *,
        lead(valid_from) over (partition by customer_key order by stay_number asc) as next_from,
        lead(tier_rank) over (partition by customer_key order by stay_number asc) as next_rank,
        lead(cause) over (partition by customer_key order by stay_number asc) as next_cause
    from {{ ref('loyalty_tier_history') }}

)

select
    customer_key,
    stay_number
from stays
where
    valid_to is distinct from next_from
    or valid_to <= valid_from
    or (next_cause = 'upgraded') != (next_rank > tier_rank)
    or next_rank = tier_rank
