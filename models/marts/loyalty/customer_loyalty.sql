with members as (

    select * from {{ source('loyalty', 'members') }}

),

activity as (

    select * from {{ ref('int_loyalty__activity') }}

),

coming_expiries as (

    select * from {{ ref('int_loyalty__coming_expiries') }}

),

stays as (

    select * from {{ ref('loyalty_tier_history') }}
    where valid_to is null

),

tiers as (

    select * from {{ ref('loyalty_tiers') }}

),

milestones as (

    select * from {{ ref('customer_milestones') }}

),

-- ranks may have holes: the next tier is the lowest above
tier_steps as (

    select
        audience,
        tier,
        basis,
        threshold,
        lead(tier) over (partition by audience order by tier_rank asc) as next_tier,
        lead(basis) over (partition by audience order by tier_rank asc) as next_basis,
        lead(threshold) over (partition by audience order by tier_rank asc) as next_threshold
    from tiers

),

milestone_totals as (

    select
        customer_key,
        sum(case when reached_on is not null then 1 else 0 end) as milestones_reached,
        max(case when is_latest_reached then milestone end) as last_milestone,
        max(case when is_latest_reached then reached_on end) as last_milestone_on,
        max(case when is_next then milestone end) as next_milestone,
        max(case when is_next then basis end) as next_milestone_basis,
        max(case when is_next then remaining end) as next_milestone_remaining,
        max(case when is_next then progress end) as next_milestone_progress
    from milestones
    group by customer_key

),

joined as (

    select
        members.customer_key,
        members.audience,
        members.joined_on,
        members.qualifying_points,
        stays.tier,
        stays.tier_rank,
        stays.valid_from as tier_since,
        stays.previous_tier,
        stays.cause as tier_cause,
        stays.review_on,
        stays.grace_until,
        tier_steps.basis,
        tier_steps.threshold,
        tier_steps.next_tier,
        tier_steps.next_basis,
        tier_steps.next_threshold,
        activity.last_earned_date,
        activity.last_redeemed_date,
        coming_expiries.next_expiry_date,
        milestone_totals.last_milestone,
        milestone_totals.last_milestone_on,
        milestone_totals.next_milestone,
        milestone_totals.next_milestone_basis,
        milestone_totals.next_milestone_remaining,
        milestone_totals.next_milestone_progress,
        {{ from_cents('members.qualifying_spend_cents') }} as qualifying_spend,
        coalesce(activity.balance, 0) as balance,
        coalesce(activity.points_earned, 0) as points_earned,
        coalesce(activity.points_redeemed, 0) as points_redeemed,
        coalesce(activity.points_expired, 0) as points_expired,
        coalesce(activity.points_adjusted, 0) as points_adjusted,
        coalesce(activity.points_reversed, 0) as points_reversed,
        coalesce(coming_expiries.next_expiry_points, 0) as next_expiry_points,
        coalesce(coming_expiries.expiring_30d, 0) as expiring_30d,
        coalesce(milestone_totals.milestones_reached, 0) as milestones_reached
    from members
    inner join stays on members.customer_key = stays.customer_key
    inner join tier_steps on stays.audience = tier_steps.audience and stays.tier = tier_steps.tier
    left join activity on members.customer_key = activity.customer_key
    left join coming_expiries on members.customer_key = coming_expiries.customer_key
    left join milestone_totals on members.customer_key = milestone_totals.customer_key

),

measured as (

    select
        *,
        case when basis = 'points' then qualifying_points else qualifying_spend end as holds,
        case when next_basis = 'points' then qualifying_points else qualifying_spend end as holds_of_next
    from joined

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(audience as {{ type_string() }}) as audience,
        cast(joined_on as date) as joined_on,
        -- points
        cast(balance as bigint) as balance,
        cast(points_earned as bigint) as points_earned,
        cast(points_redeemed as bigint) as points_redeemed,
        cast(points_expired as bigint) as points_expired,
        cast(points_adjusted as bigint) as points_adjusted,
        cast(points_reversed as bigint) as points_reversed,
        cast(expiring_30d as bigint) as expiring_30d,
        cast(next_expiry_date as date) as next_expiry_date,
        cast(next_expiry_points as bigint) as next_expiry_points,
        cast(last_earned_date as date) as last_earned_date,
        cast(last_redeemed_date as date) as last_redeemed_date,
        {{ points_value('balance') }} as liability,
        -- tier
        cast(tier as {{ type_string() }}) as tier,
        cast(tier_rank as integer) as tier_rank,
        cast(tier_since as date) as tier_since,
        cast(previous_tier as {{ type_string() }}) as previous_tier,
        cast(tier_cause as {{ type_string() }}) as tier_cause,
        cast(qualifying_points as bigint) as qualifying_points,
        cast(qualifying_spend as {{ type_money() }}) as qualifying_spend,
        cast(basis as {{ type_string() }}) as tier_basis,
        cast(threshold as {{ type_money() }}) as tier_threshold,
        holds >= threshold as is_tier_earned,
        cast(case when basis = 'points' then greatest(threshold - holds, 0) end as bigint) as points_to_keep_tier,
        cast(case
            when basis = 'spend' then greatest(threshold - holds, 0)
        end as {{ type_money() }}) as spend_to_keep_tier,
        cast(review_on as date) as review_on,
        cast(grace_until as date) as grace_until,
        cast(next_tier as {{ type_string() }}) as next_tier,
        cast(case
            when next_basis = 'points' then greatest(next_threshold - holds_of_next, 0)
        end as bigint) as points_to_next_tier,
        cast(case
            when next_basis = 'spend' then greatest(next_threshold - holds_of_next, 0)
        end as {{ type_money() }}) as spend_to_next_tier,
        cast(case
            when next_tier is not null
                then greatest(least({{ ratio('holds_of_next', 'next_threshold') }}, 1), 0)
        end as {{ type_double() }}) as next_tier_progress,
        -- milestones
        cast(milestones_reached as bigint) as milestones_reached,
        cast(last_milestone as {{ type_string() }}) as last_milestone,
        cast(last_milestone_on as date) as last_milestone_on,
        cast(next_milestone as {{ type_string() }}) as next_milestone,
        cast(next_milestone_basis as {{ type_string() }}) as next_milestone_basis,
        cast(next_milestone_remaining as {{ type_money() }}) as next_milestone_remaining,
        cast(next_milestone_progress as {{ type_double() }}) as next_milestone_progress,
        {{ as_of_date() }} as as_of_date
    from measured

)

select * from final
