with months as (

    select
        *,
        lag(closing) over (order by {{ adapter.quote('month') }}) as closed_before,
        lag(paused_closing) over (order by {{ adapter.quote('month') }}) as paused_closed_before
    from {{ ref('mrr_monthly') }}

)

select
    {{ adapter.quote('month') }},
    opening,
    closing
from months
where
    opening + {{ adapter.quote('new') }} + expansion + contraction + churn + reactivation + pause + resume != closing
    or paused_opening + paused_in - resumed - paused_churn + paused_change != paused_closing
    or opening != coalesce(closed_before, 0)
    or paused_opening != coalesce(paused_closed_before, 0)
