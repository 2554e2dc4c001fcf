-- Whoever stood in a segment at the end of a month leaves it (or stays) in the next: counted going in and going out,
-- the customers of each segment and month end are the same.
with transitions as (

    select * from {{ ref('rfm_transitions') }}

),

arrived as (

    select
        {{ add_months('month', '1') }} as next_month,
        to_segment as segment,
        sum(customers) as customers
    from transitions
    where month < (select max(later.month) from transitions as later)
    group by {{ add_months('month', '1') }}, to_segment

),

departed as (

    select
        month as next_month,
        from_segment as segment,
        sum(customers) as customers
    from transitions
    where from_segment <> 'prospect'
    group by month, from_segment

)

select
    arrived.customers as arrived,
    departed.customers as departed,
    coalesce(arrived.next_month, departed.next_month) as next_month,
    coalesce(arrived.segment, departed.segment) as segment
from arrived
full outer join departed
    on
        arrived.next_month = departed.next_month
        and arrived.segment = departed.segment
where coalesce(arrived.customers, 0) <> coalesce(departed.customers, 0)
