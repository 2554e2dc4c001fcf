-- The grain: month × from × to.
select
    month,
    from_segment,
    to_segment
from {{ ref('rfm_transitions') }}
group by month, from_segment, to_segment
having count(*) > 1
