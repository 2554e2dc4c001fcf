-- recorded = assigned + repeated + contaminated + late + unidentified, per arm; all variants together are their sum.
with

results as (

    select * from {{ ref('campaign_results') }}

),

arms as (

    select
        campaign_key,
        arm,
        'an assignment is lost or counted twice' as problem
    from results
    where
        recorded != assigned + repeated + contaminated + late + unidentified
        or repeated < 0
        or contaminated_customers > contaminated
        or converters > assigned
        or converters > orders
        or overlapping_customers > assigned

),

sums as (

    select
        campaign_key,
        'all_variants' as arm,
        'all variants together are not their sum' as problem
    from results
    where arm_role in ('variant', 'all_variants') and variants > 1
    group by campaign_key
    having
        sum(case when arm_role = 'variant' then assigned else -assigned end) != 0
        or sum(case when arm_role = 'variant' then converters else -converters end) != 0
        or sum(case when arm_role = 'variant' then spend else -spend end) != 0

),

final as (

    select * from arms
    union all
    select * from sums

)

select * from final
