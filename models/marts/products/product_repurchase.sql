{%- set window_days = var('repurchase_window_days') -%}
with purchases as (

    select * from {{ ref('int_products__purchases') }}

),

customer_products as (

    select * from {{ ref('int_products__customer_products') }}

),

products as (

    select * from {{ ref('products') }}

),

-- who bought first later than the window allows had no chance yet to come back within it
followed as (

    select
        *,
        {{ days_between('first_order_date', as_of_date()) }} >= {{ window_days }} as is_eligible,
        coalesce({{ days_between('first_order_date', 'second_order_date') }} <= {{ window_days }}, false)
            as is_back_in_time
    from customer_products

),

buyer_counts as (

    select
        product_key,
        count(*) as buyers,
        sum(case when purchase_days > 1 then 1 else 0 end) as repeat_buyers,
        sum(purchase_days) as purchase_days,
        sum(case when is_eligible then 1 else 0 end) as eligible_buyers,
        sum(case when is_eligible and is_back_in_time then 1 else 0 end) as eligible_repeat_buyers
    from followed
    group by product_key

),

gaps as (

    select
        product_key,
        {{ days_between('previous_order_date', 'order_date') }} as gap_days
    from purchases
    where previous_order_date is not null

),

gap_counts as (

    select
        product_key,
        count(*) as intervals,
        cast(sum(gap_days) as {{ type_wide_integer() }}) as days,
        cast(sum(cast(gap_days as {{ type_wide_integer() }}) * gap_days) as {{ type_wide_integer() }}) as squared_days,
        percentile_cont(0.25) within group (order by gap_days) as p25,
        percentile_cont(0.5) within group (order by gap_days) as median,
        percentile_cont(0.75) within group (order by gap_days) as p75,
        percentile_disc(0.5) within group (order by gap_days) as typical
    from gaps
    group by product_key

),

-- sums of whole days, so that equal gaps vary by exactly 0
interval_figures as (

    select
        *,
        {{ ratio('days', 'intervals') }} as mean,
        sqrt({{ ratio(
            'cast(intervals as ' ~ type_wide_integer() ~ ') * squared_days - days * days',
            'cast(intervals as ' ~ type_wide_integer() ~ ') * (intervals - 1)'
        ) }}) / {{ ratio('days', 'intervals') }} as variation
    from gap_counts
    where intervals >= {{ var('repurchase_min_intervals') }}

),

measured as (

    select
        buyer_counts.*,
        coalesce(gap_counts.intervals, 0) as intervals,
        interval_figures.mean,
        interval_figures.p25,
        interval_figures.median,
        interval_figures.p75,
        interval_figures.typical,
        interval_figures.variation,
        {{ ratio('buyer_counts.eligible_repeat_buyers', 'buyer_counts.eligible_buyers') }} as repurchase_rate
    from buyer_counts
    left join gap_counts
        on buyer_counts.product_key = gap_counts.product_key
    left join interval_figures
        on buyer_counts.product_key = interval_figures.product_key

),

judged as (

    select
        *,
        case
            when repeat_buyers < {{ var('subscription_min_repeat_buyers') }} then 'too_few_repeat_buyers'
            when intervals < {{ var('repurchase_min_intervals') }} then 'too_few_intervals'
            when eligible_buyers = 0 then 'too_little_follow_up'
            when
                eligible_repeat_buyers
                < cast({{ var('subscription_min_repurchase_rate') }} as decimal(9, 6)) * eligible_buyers
                then 'rarely_repeated'
            when variation > {{ var('subscription_max_variation') }} then 'irregular'
            else 'candidate'
        end as subscription_verdict,
        -- LEAST passes nulls over: without a rate or a variation there is no score
        case
            when repurchase_rate is not null and variation is not null
                then
                    least(1, {{ ratio('repeat_buyers', var('subscription_min_repeat_buyers')) }})
                    * least(1, {{ ratio('repurchase_rate', var('subscription_min_repurchase_rate')) }})
                    * (1 - least(1, variation))
        end as subscription_score
    from measured

),

final as (

    select
        cast(judged.product_key as {{ type_string() }}) as product_key,
        cast(products.name as {{ type_string() }}) as name,
        cast(products.brand as {{ type_string() }}) as brand,
        cast(products.category as {{ type_string() }}) as category,
        cast(products.is_consumable as boolean) as is_consumable,
        cast(judged.buyers as bigint) as buyers,
        cast(judged.repeat_buyers as bigint) as repeat_buyers,
        cast(judged.purchase_days as bigint) as purchase_days,
        {{ ratio('judged.repeat_buyers', 'judged.buyers') }} as repeat_buyer_share,
        cast({{ window_days }} as integer) as window_days,
        cast(judged.eligible_buyers as bigint) as eligible_buyers,
        cast(judged.eligible_repeat_buyers as bigint) as eligible_repeat_buyers,
        cast(judged.repurchase_rate as {{ type_double() }}) as repurchase_rate,
        cast(judged.intervals as bigint) as intervals,
        cast(judged.mean as {{ type_double() }}) as interval_mean_days,
        cast(judged.p25 as {{ type_double() }}) as interval_p25_days,
        cast(judged.median as {{ type_double() }}) as interval_median_days,
        cast(judged.p75 as {{ type_double() }}) as interval_p75_days,
        cast(judged.variation as {{ type_double() }}) as interval_variation,
        cast(judged.typical as integer) as typical_interval_days,
        cast(judged.subscription_score as {{ type_double() }}) as subscription_score,
        cast(judged.subscription_verdict as {{ type_string() }}) as subscription_verdict,
        cast(judged.subscription_verdict = 'candidate' as boolean) as is_subscription_candidate
    from judged
    -- every line's product has a row there
    inner join products
        on judged.product_key = products.product_key

)

select * from final
