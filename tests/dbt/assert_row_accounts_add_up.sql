-- Every landed row is somewhere: landed = current + superseded + duplicate + deleted + erased + quarantined, and
-- current orders = valid + excluded + after as-of + quarantined later (METRICS.md, row accounts).
select
    system,
    entity,
    landed,
    current_rows,
    difference,
    orders_difference
from {{ ref('int_quality__row_accounts') }}
where not adds_up
