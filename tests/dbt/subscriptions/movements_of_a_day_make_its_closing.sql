-- The published rows add up by themselves, and carry the sign of their name.
select
    account_key,
    {{ adapter.quote('date') }}
from {{ ref('mrr_movements') }}
group by account_key, {{ adapter.quote('date') }}
having
    max(opening_mrr) + sum(amount) != max(closing_mrr)
    or max(opening_mrr) != min(opening_mrr)
    or max(closing_mrr) != min(closing_mrr)
    or sum(case when (movement in ('new', 'expansion', 'reactivation', 'resume')) = (amount > 0) then 0 else 1 end) > 0
    or count(*) != count(distinct movement)
