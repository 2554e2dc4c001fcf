-- 25 rows in range, none twice: every cell exactly once. A forgotten cell would be customers without a segment.
select count(*) as cells
from {{ ref('rfm_segments_25') }}
having
    count(*) <> 25
    or count(distinct 10 * r_score + f_score) <> 25
