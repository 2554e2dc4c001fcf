with months as (

    select
        *,
        lag(closing_points) over (
            partition by cut, cut_value order by {{ adapter.quote('month') }} asc
        ) as closed_before
    from {{ ref('loyalty_monthly') }}

)

select
    cut,
    cut_value,
    {{ adapter.quote('month') }}
from months
where
    opening_points + earned + redeemed + expired + adjusted + reversed != closing_points
    or opening_points != coalesce(closed_before, 0)
    or closing_points < 0
    or unused_points_12m > ended_points_12m
