-- Two ways to the outstanding points: member by member, and the last month's close; and each member's kinds add up.
{{ config(meta={'dagster': {'ref': {'name': 'loyalty_monthly'}}}) }}
with members as (

    select
        sum(balance) as points,
        sum(case
            when
                points_earned - points_redeemed - points_expired + points_adjusted + points_reversed = balance then 0
            else 1
        end) as wrong_members
    from {{ ref('customer_loyalty') }}

),

months as (

    select
        closing_points,
        row_number() over (order by {{ adapter.quote('month') }} desc) as recency
    from {{ ref('loyalty_monthly') }}
    where cut = 'all'

)

select
    members.points,
    months.closing_points
from members
left join months on months.recency = 1
where coalesce(members.points, 0) != coalesce(months.closing_points, 0) or members.wrong_members > 0
