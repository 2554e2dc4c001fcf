-- The grain, and every period from 0 to the last that has begun: a month without activity is a row with 0.
select
    cohort_type,
    cohort,
    cut,
    cut_value,
    count(*) as periods
from {{ ref('cohort_retention') }}
group by cohort_type, cohort, cut, cut_value
having
    count(*) <> max(period) + 1
    or count(distinct period) <> count(*)
    or min(period) <> 0
