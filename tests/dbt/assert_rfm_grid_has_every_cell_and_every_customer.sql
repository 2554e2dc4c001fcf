-- Three pairs of 25 cells each, which add up to all customers: none missing, none twice.
select
    metric_x,
    metric_y,
    count(*) as cells,
    sum(customers) as customers
from {{ ref('rfm_grid') }}
group by metric_x, metric_y
having
    count(*) <> 25
    or count(distinct 10 * score_x + score_y) <> 25
    or sum(customers) <> max(all_customers)
