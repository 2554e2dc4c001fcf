-- Every planned operation of a send has exactly one end: acknowledged, refused, unknown or not sent.
select
    run_id,
    to_erase,
    to_remove,
    to_update,
    to_add,
    acknowledged,
    refused,
    unknown,
    not_sent
from {{ ref('audience_runs') }}
where
    status in ('done', 'incomplete')
    and not is_only_forced
    and to_erase + to_remove + to_update + to_add != acknowledged + refused + unknown + not_sent
