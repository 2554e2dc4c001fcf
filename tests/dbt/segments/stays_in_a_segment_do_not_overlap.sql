-- A customer is in a segment once at a time: a stay ends after it began, and before the next one begins.
with stays as (

    select
        *,
        lead(entered_on) over (partition by segment, customer_key order by entered_on asc) as next_entered_on
    from {{ ref('segment_history') }}

)

select
    segment,
    customer_key,
    entered_on,
    left_on,
    next_entered_on
from stays
where
    left_on <= entered_on
    or next_entered_on < left_on
    or (left_on is null and next_entered_on is not null)
    or (left_on is null) != (exit_kind is null)
