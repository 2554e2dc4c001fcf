with records as (

    select * from {{ ref('int_campaigns__records') }}
    where customer_key is not null

),

campaigns as (

    select * from {{ ref('int_campaigns__campaigns') }}

),

-- accounts that turned out to be one person may have been put in two arms
people as (

    select
        campaign_key,
        customer_key,
        min(arm) as arm,
        min(arm_role) as arm_role,
        min(assigned_at) as assigned_at,
        count(distinct arm) as arms,
        count(*) as records
    from records
    group by campaign_key, customer_key

),

windowed as (

    select
        people.campaign_key,
        people.customer_key,
        people.arm,
        people.arm_role,
        people.assigned_at,
        people.arms,
        people.records,
        campaigns.ended_at,
        campaigns.end_date,
        {{ business_date('people.assigned_at') }} as assigned_date,
        coalesce(
            campaigns.window_end_date,
            {{ add_days(business_date('people.assigned_at'), var('campaign_open_window_days')) }}
        ) as window_end_date
    from people
    inner join campaigns
        on people.campaign_key = campaigns.campaign_key

),

final as (

    select
        cast(campaign_key as {{ type_string() }}) as campaign_key,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(case when arms = 1 then arm end as {{ type_string() }}) as arm,
        cast(case when arms = 1 then arm_role end as {{ type_string() }}) as arm_role,
        cast(assigned_at as timestamp) as assigned_at,
        cast(assigned_date as date) as assigned_date,
        cast(window_end_date as date) as window_end_date,
        {{ add_days('assigned_date', 0 - var('campaign_before_days')) }} as before_start_date,
        -- as many days before the assignment as count after it
        {{ add_days('assigned_date', '-' ~ days_between('assigned_date', 'window_end_date')) }} as baseline_start_date,
        cast(records as bigint) as records,
        cast(case
            when arms > 1 then 'contaminated'
            when assigned_at > ended_at or assigned_date > end_date then 'late'
            when arms = 1 then 'analysed'
        end as {{ type_string() }}) as outcome
    from windowed

)

select * from final
