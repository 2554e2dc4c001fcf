-- Overall = months = channels: every credit stands once in each kind of row.
with

attribution as (

    select * from {{ ref('campaign_attribution') }}

),

sums as (

    select
        campaign_key,
        sum(case when period_type = 'overall' and channel = 'all' then attributed_orders else 0 end) as orders_overall,
        sum(case when period_type = 'overall' and channel = 'all' then attributed_revenue else 0 end) as overall,
        sum(case when period_type = 'overall' and channel != 'all' then attributed_revenue else 0 end) as by_channel,
        sum(case when period_type = 'month' and channel = 'all' then attributed_revenue else 0 end) as by_month,
        sum(case when period_type = 'month' and channel != 'all' then attributed_revenue else 0 end) as by_both,
        sum(case when period_type = 'month' and channel != 'all' then attributed_orders else 0 end) as orders_by_both
    from attribution
    group by campaign_key

),

final as (

    select * from sums
    where overall != by_channel or overall != by_month or overall != by_both or orders_overall != orders_by_both

)

select * from final
