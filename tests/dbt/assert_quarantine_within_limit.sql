-- More unreadable or unrelated rows than the policy's quarantine_limit stop the run: a delivery is broken, not a row.
select
    system,
    entity,
    scope,
    source_batch,
    landed,
    quarantined,
    quarantined_share,
    quarantine_limit
from {{ ref('int_quality__quarantine_shares') }}
where is_over_limit
