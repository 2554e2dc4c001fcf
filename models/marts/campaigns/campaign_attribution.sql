with campaigns as (

    select * from {{ ref('int_campaigns__campaigns') }}

),

touches as (

    select * from {{ ref('int_campaigns__touches') }}

),

credits as (

    select * from {{ ref('int_campaigns__credits') }}

),

results as (

    select * from {{ ref('campaign_results') }}
    where arm_role = 'all_variants' or (arm_role = 'variant' and variants = 1)

),

channels as (

    select
        campaign_key,
        channel,
        {{ month_start('min(touch_date)') }} as first_month,
        {{ month_start('least(' ~ as_of_date() ~ ', ' ~ business_date('max(credit_until)') ~ ')') }} as last_month
    from touches
    group by campaign_key, channel

),

months as (

    select
        channels.campaign_key,
        channels.channel,
        series.series_date as order_month
    from channels
    cross join {{ date_series('(select min(first_month) from channels)', as_of_date(), 'month') }} as series
    where series.series_date between channels.first_month and channels.last_month

),

-- every month from the first touch to the end of the last touch's window, with and without a credit
cells as (

    select
        campaign_key,
        'month' as period_type,
        order_month,
        channel
    from months
    union
    select
        campaign_key,
        'month' as period_type,
        order_month,
        'all' as channel
    from months
    union
    select
        campaign_key,
        'overall' as period_type,
        null as order_month,
        channel
    from channels
    union
    select
        campaign_key,
        'overall' as period_type,
        null as order_month,
        'all' as channel
    from campaigns

),

-- each credit counts once in each of the four kinds of cells
placed as (

    select
        credits.campaign_key,
        kinds.period_type,
        credits.customer_key,
        credits.net_revenue,
        case when kinds.period_type = 'month' then credits.order_month end as order_month,
        case when kinds.is_all_channels then 'all' else credits.channel end as channel
    from credits
    cross join (
        values
        ('month', true),
        ('month', false),
        ('overall', true),
        ('overall', false)
    ) as kinds (period_type, is_all_channels)

),

credited as (

    select
        campaign_key,
        period_type,
        order_month,
        channel,
        count(*) as orders,
        count(distinct customer_key) as customers,
        sum(net_revenue) as net_revenue
    from placed
    group by campaign_key, period_type, order_month, channel

),

final as (

    select
        cast(cells.campaign_key as {{ type_string() }}) as campaign_key,
        cast(cells.period_type as {{ type_string() }}) as period_type,
        cast(cells.order_month as date) as order_month,
        cast(cells.channel as {{ type_string() }}) as channel,
        cast(campaigns.campaign_name as {{ type_string() }}) as campaign_name,
        cast(coalesce(
            case
                when cells.period_type = 'month' then {{ month_end('cells.order_month') }} <= {{ as_of_date() }}
                when cells.period_type = 'overall' then campaigns.window_end_date <= {{ as_of_date() }}
            end,
            false
        ) as boolean) as is_complete,
        cast(coalesce(credited.orders, 0) as bigint) as attributed_orders,
        cast(coalesce(credited.customers, 0) as bigint) as attributed_customers,
        cast(coalesce(credited.net_revenue, 0) as {{ type_money() }}) as attributed_revenue,
        cast(results.incremental_orders as {{ type_double() }}) as incremental_orders,
        cast(results.incremental_orders_low as {{ type_double() }}) as incremental_orders_low,
        cast(results.incremental_orders_high as {{ type_double() }}) as incremental_orders_high,
        cast(results.incremental_revenue as {{ type_money() }}) as incremental_revenue,
        cast(results.incremental_revenue_low as {{ type_money() }}) as incremental_revenue_low,
        cast(results.incremental_revenue_high as {{ type_money() }}) as incremental_revenue_high,
        cast(results.confidence_level as {{ type_double() }}) as confidence_level,
        cast(case
            when cells.period_type = 'month' or cells.channel != 'all' then null
            when results.campaign_key is null then 'no_assignments'
            else results.status
        end as {{ type_string() }}) as incremental_status,
        {{ as_of_date() }} as as_of_date
    from cells
    inner join campaigns
        on cells.campaign_key = campaigns.campaign_key
    left join credited
        on
            cells.campaign_key = credited.campaign_key
            and cells.period_type = credited.period_type
            and cells.channel = credited.channel
            and cells.order_month is not distinct from credited.order_month
    -- what a campaign caused is known of the whole campaign only
    left join results
        on
            cells.campaign_key = results.campaign_key
            and cells.period_type = 'overall'
            and cells.channel = 'all'

)

select * from final
