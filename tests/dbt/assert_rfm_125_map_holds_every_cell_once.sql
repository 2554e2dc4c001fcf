-- 125 rows in range, none twice: every cell exactly once.
select count(*) as cells
from {{ ref('rfm_segments_125') }}
having
    count(*) <> 125
    or count(distinct 100 * r_score + 10 * f_score + m_score) <> 125
