-- Targets are at least a minute, priorities trimmed and in lower case, and the default priority has one.
select priority
from {{ ref('support_targets') }}
where
    first_response_minutes < 1
    or resolution_minutes < first_response_minutes
    or priority != lower(trim(priority))
union all
select '{{ var('support_default_priority') }}' as priority
where
    not exists (
        select 1 from {{ ref('support_targets') }}
        where priority = '{{ var('support_default_priority') }}'
    )
