-- Per account and day, in the MRR and in the paused money; and each day opens with the close before.
with days as (

    select
        *,
        lag(closing_mrr) over (partition by account_key order by change_date) as closed_before,
        lag(paused_closing) over (partition by account_key order by change_date) as paused_closed_before
    from {{ ref('int_subscriptions__account_days') }}

)

select
    account_key,
    change_date
from days
where
    opening_mrr + new_mrr + expansion_mrr + contraction_mrr + churn_mrr + reactivation_mrr + pause_mrr + resume_mrr
    != closing_mrr
    or paused_opening + paused_in - resumed - paused_churn + paused_change != paused_closing
    or opening_mrr != coalesce(closed_before, 0)
    or paused_opening != coalesce(paused_closed_before, 0)
    or paused_in != -pause_mrr
    or resumed != resume_mrr
    or closing_mrr < 0
    or paused_closing < 0
