with campaigns as (

    select * from {{ ref('int_campaigns__campaigns') }}

),

records as (

    select * from {{ ref('int_campaigns__records') }}

),

people as (

    select * from {{ ref('int_campaigns__people') }}

),

outcomes as (

    select * from {{ ref('int_campaigns__outcomes') }}

),

shares as (

    select * from {{ ref('campaign_arm_shares') }}

),

definitions as (

    select * from {{ source('experiments', 'definitions') }}

),

recorded_arms as (

    select
        records.campaign_key,
        records.arm,
        records.arm_role
    from records
    inner join campaigns
        on records.campaign_key = campaigns.campaign_key
    group by records.campaign_key, records.arm, records.arm_role

),

variant_counts as (

    select
        campaign_key,
        sum(case when arm_role = 'variant' then 1 else 0 end) as variants
    from recorded_arms
    group by campaign_key

),

-- each recorded arm is a row; several variants are one more, together
members as (

    select
        campaign_key,
        arm as recorded_arm,
        arm,
        arm_role
    from recorded_arms
    union all
    select
        recorded_arms.campaign_key,
        recorded_arms.arm as recorded_arm,
        'all_variants' as arm,
        'all_variants' as arm_role
    from recorded_arms
    inner join variant_counts
        on recorded_arms.campaign_key = variant_counts.campaign_key
    where recorded_arms.arm_role = 'variant' and variant_counts.variants > 1

),

-- a campaign with rows of its own in the plan takes only those; a segment's experiment says its plan itself
planned as (

    select
        campaigns.campaign_key,
        shares.arm,
        cast(shares.planned_share as {{ type_double() }}) as planned_share
    from campaigns
    inner join shares
        on campaigns.campaign_id = shares.campaign_id
    where campaigns.system != 'ritorno'
    union all
    select
        campaigns.campaign_key,
        case
            when lower(definitions.arm) in ({{ text_list(var('holdout_arms')) }}) then 'holdout'
            else lower(definitions.arm)
        end as arm,
        sum(definitions.planned_share) as planned_share
    from campaigns
    inner join definitions
        on campaigns.campaign_id = definitions.experiment
    where campaigns.system = 'ritorno'
    group by
        campaigns.campaign_key,
        case
            when lower(definitions.arm) in ({{ text_list(var('holdout_arms')) }}) then 'holdout'
            else lower(definitions.arm)
        end
    union all
    select
        campaigns.campaign_key,
        shares.arm,
        cast(shares.planned_share as {{ type_double() }}) as planned_share
    from campaigns
    cross join shares
    where
        campaigns.system != 'ritorno'
        and shares.campaign_id = '*'
        and campaigns.campaign_id not in (select own.campaign_id from shares as own)

),

plans as (

    select
        campaign_key,
        sum(planned_share) as planned_share
    from planned
    group by campaign_key

),

unplanned_arms as (

    select
        recorded_arms.campaign_key,
        count(*) as arms
    from recorded_arms
    left join planned
        on recorded_arms.campaign_key = planned.campaign_key and recorded_arms.arm = planned.arm
    where planned.arm is null
    group by recorded_arms.campaign_key

),

arm_plans as (

    select
        recorded_arms.campaign_key,
        recorded_arms.arm,
        recorded_arms.arm_role,
        case
            when planned.arm is not null then planned.planned_share
            when plans.campaign_key is not null
                then {{ ratio('greatest(cast(1 - plans.planned_share as decimal(18, 9)), 0)', 'unplanned_arms.arms') }}
        end as planned_share
    from recorded_arms
    left join plans
        on recorded_arms.campaign_key = plans.campaign_key
    left join planned
        on recorded_arms.campaign_key = planned.campaign_key and recorded_arms.arm = planned.arm
    left join unplanned_arms
        on recorded_arms.campaign_key = unplanned_arms.campaign_key

),

-- the records by what became of them
record_counts as (

    select
        members.campaign_key,
        members.arm,
        members.arm_role,
        count(*) as recorded,
        sum(case when records.customer_key is null then 1 else 0 end) as unidentified,
        sum(case when people.outcome = 'contaminated' then 1 else 0 end) as contaminated,
        count(distinct case
            when people.outcome = 'contaminated' then people.customer_key
        end) as contaminated_customers,
        sum(case when people.outcome = 'late' then 1 else 0 end) as late,
        sum(case when people.outcome = 'analysed' then 1 else 0 end) as analysed_records
    from members
    inner join records
        on members.campaign_key = records.campaign_key and members.recorded_arm = records.arm
    left join people
        on records.campaign_key = people.campaign_key and records.customer_key = people.customer_key
    group by members.campaign_key, members.arm, members.arm_role

),

-- two stays overlap if the later one begins before the earlier one ends: neighbours decide, no pairs are made
overlapping as (

    select
        campaign_key,
        customer_key,
        coalesce(max(window_end_date) over (
            partition by customer_key
            order by assigned_date asc, campaign_key asc
            rows between unbounded preceding and 1 preceding
        ) >= assigned_date, false)
        or coalesce(lead(assigned_date) over (
            partition by customer_key
            order by assigned_date asc, campaign_key asc
        ) <= window_end_date, false) as is_overlapping
    from outcomes

),

-- whole cents: their squares and products are exact, whatever their number and order
cents as (

    select
        members.campaign_key,
        members.arm,
        members.arm_role,
        outcomes.customer_key,
        outcomes.is_converter,
        outcomes.is_baseline_converter,
        overlapping.is_overlapping,
        outcomes.orders,
        outcomes.spend,
        outcomes.spend_before,
        cast(outcomes.orders as {{ type_wide_integer() }}) as x_orders,
        {{ in_units('outcomes.spend', 2) }} as x_spend,
        {{ in_units('outcomes.spend_before', 2) }} as x_before
    from members
    inner join outcomes
        on members.campaign_key = outcomes.campaign_key and members.recorded_arm = outcomes.arm
    inner join overlapping
        on outcomes.campaign_key = overlapping.campaign_key and outcomes.customer_key = overlapping.customer_key

),

sums as (

    select
        campaign_key,
        arm,
        arm_role,
        count(*) as assigned,
        sum(case when is_converter then 1 else 0 end) as converters,
        sum(case when is_baseline_converter then 1 else 0 end) as baseline_converters,
        sum(case when is_overlapping then 1 else 0 end) as overlapping_customers,
        sum(orders) as orders,
        sum(spend) as spend,
        sum(spend_before) as spend_before,
        -- n Σxy − Σx Σy, exact; divided by n it is Σ(x − x̄)(y − ȳ)
        count(*) * sum(x_orders * x_orders) - sum(x_orders) * sum(x_orders) as orders_squares,
        count(*) * sum(x_spend * x_spend) - sum(x_spend) * sum(x_spend) as spend_squares,
        count(*) * sum(x_before * x_before) - sum(x_before) * sum(x_before) as spend_before_squares,
        count(*) * sum(x_spend * x_before) - sum(x_spend) * sum(x_before) as spend_cross
    from cents
    group by campaign_key, arm, arm_role

),

final as (

    select
        cast(record_counts.campaign_key as {{ type_string() }}) as campaign_key,
        cast(record_counts.arm as {{ type_string() }}) as arm,
        cast(record_counts.arm_role as {{ type_string() }}) as arm_role,
        cast(variant_counts.variants as bigint) as variants,
        cast(campaigns.window_end_date as date) as window_end_date,
        cast(coalesce(campaigns.window_end_date <= {{ as_of_date() }}, false) as boolean) as is_complete,
        cast(arm_plans.planned_share as {{ type_double() }}) as planned_share,
        cast(record_counts.recorded as bigint) as recorded,
        cast(record_counts.unidentified as bigint) as unidentified,
        cast(record_counts.contaminated as bigint) as contaminated,
        cast(record_counts.contaminated_customers as bigint) as contaminated_customers,
        cast(record_counts.late as bigint) as late,
        cast(record_counts.analysed_records - coalesce(sums.assigned, 0) as bigint) as repeated,
        cast(coalesce(sums.assigned, 0) as bigint) as assigned,
        cast(coalesce(sums.overlapping_customers, 0) as bigint) as overlapping_customers,
        cast(coalesce(sums.converters, 0) as bigint) as converters,
        cast(coalesce(sums.baseline_converters, 0) as bigint) as baseline_converters,
        cast(coalesce(sums.orders, 0) as bigint) as orders,
        cast(coalesce(sums.spend, 0) as {{ type_money() }}) as spend,
        cast(coalesce(sums.spend_before, 0) as {{ type_money() }}) as spend_before,
        coalesce({{ ratio('sums.orders_squares', 'sums.assigned') }}, 0) as orders_squares,
        coalesce({{ ratio('sums.spend_squares', 'sums.assigned') }} / 10000, 0) as spend_squares,
        coalesce({{ ratio('sums.spend_before_squares', 'sums.assigned') }} / 10000, 0) as spend_before_squares,
        coalesce({{ ratio('sums.spend_cross', 'sums.assigned') }} / 10000, 0) as spend_cross
    from record_counts
    inner join campaigns
        on record_counts.campaign_key = campaigns.campaign_key
    inner join variant_counts
        on record_counts.campaign_key = variant_counts.campaign_key
    left join arm_plans
        on
            record_counts.campaign_key = arm_plans.campaign_key
            and record_counts.arm_role = arm_plans.arm_role
            and record_counts.arm = arm_plans.arm
    left join sums
        on
            record_counts.campaign_key = sums.campaign_key
            and record_counts.arm_role = sums.arm_role
            and record_counts.arm = sums.arm

)

select * from final
