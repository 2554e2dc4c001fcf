with campaigns as (

    select * from {{ ref('int_campaigns__campaigns') }}

),

arms as (

    select * from {{ ref('int_campaigns__arms') }}

),

results as (

    select * from {{ source('experiments', 'results') }}

),

final as (

    select
        cast(arms.campaign_key as {{ type_string() }}) as campaign_key,
        cast(arms.arm as {{ type_string() }}) as arm,
        cast(arms.arm_role as {{ type_string() }}) as arm_role,
        cast(campaigns.system as {{ type_string() }}) as system,
        cast(campaigns.campaign_id as {{ type_string() }}) as campaign_id,
        cast(campaigns.campaign_name as {{ type_string() }}) as campaign_name,
        cast(campaigns.goal as {{ type_string() }}) as goal,
        cast(campaigns.channel as {{ type_string() }}) as channel,
        cast(campaigns.started_at as timestamp) as started_at,
        cast(campaigns.ended_at as timestamp) as ended_at,
        cast(arms.window_end_date as date) as window_end_date,
        cast(arms.is_complete as boolean) as is_complete,
        cast(arms.variants as bigint) as variants,
        cast(results.status as {{ type_string() }}) as status,
        cast(results.verdict as {{ type_string() }}) as verdict,
        cast(results.method as {{ type_string() }}) as method,
        cast(results.confidence_level as {{ type_double() }}) as confidence_level,
        cast(arms.recorded as bigint) as recorded,
        cast(arms.unidentified as bigint) as unidentified,
        cast(arms.contaminated as bigint) as contaminated,
        cast(arms.contaminated_customers as bigint) as contaminated_customers,
        cast(arms.late as bigint) as late,
        cast(arms.repeated as bigint) as repeated,
        cast(arms.assigned as bigint) as assigned,
        cast(arms.overlapping_customers as bigint) as overlapping_customers,
        cast(arms.planned_share as {{ type_double() }}) as planned_share,
        cast(results.sample_ratio_chi_square as {{ type_double() }}) as sample_ratio_chi_square,
        cast(results.sample_ratio_p_value as {{ type_double() }}) as sample_ratio_p_value,
        cast(results.is_sample_ratio_alarm as boolean) as is_sample_ratio_alarm,
        cast(results.baseline_conversion as {{ type_double() }}) as baseline_conversion,
        cast(results.minimum_detectable_effect as {{ type_double() }}) as minimum_detectable_effect,
        cast(arms.converters as bigint) as converters,
        {{ ratio('arms.converters', 'arms.assigned') }} as conversion,
        cast(results.conversion_difference as {{ type_double() }}) as conversion_difference,
        cast(results.conversion_difference_low as {{ type_double() }}) as conversion_difference_low,
        cast(results.conversion_difference_high as {{ type_double() }}) as conversion_difference_high,
        cast(results.conversion_z as {{ type_double() }}) as conversion_z,
        cast(results.conversion_p_value as {{ type_double() }}) as conversion_p_value,
        cast(results.probability_beats_holdout as {{ type_double() }}) as probability_beats_holdout,
        cast(results.probability_best as {{ type_double() }}) as probability_best,
        cast(arms.orders as bigint) as orders,
        cast(arms.spend as {{ type_money() }}) as spend,
        {{ ratio('arms.spend', 'arms.assigned') }} as spend_per_head,
        cast(results.spend_difference as {{ type_double() }}) as spend_difference,
        cast(results.spend_difference_low as {{ type_double() }}) as spend_difference_low,
        cast(results.spend_difference_high as {{ type_double() }}) as spend_difference_high,
        cast(results.spend_p_value as {{ type_double() }}) as spend_p_value,
        cast(arms.spend_before as {{ type_money() }}) as spend_before,
        {{ ratio('arms.spend_before', 'arms.assigned') }} as spend_before_per_head,
        cast(results.cuped_theta as {{ type_double() }}) as cuped_theta,
        cast(results.cuped_variance_reduction as {{ type_double() }}) as cuped_variance_reduction,
        cast(results.cuped_spend_difference as {{ type_double() }}) as cuped_spend_difference,
        cast(results.cuped_spend_difference_low as {{ type_double() }}) as cuped_spend_difference_low,
        cast(results.cuped_spend_difference_high as {{ type_double() }}) as cuped_spend_difference_high,
        cast(results.cuped_spend_p_value as {{ type_double() }}) as cuped_spend_p_value,
        cast(results.incremental_orders as {{ type_double() }}) as incremental_orders,
        cast(results.incremental_orders_low as {{ type_double() }}) as incremental_orders_low,
        cast(results.incremental_orders_high as {{ type_double() }}) as incremental_orders_high,
        cast(results.incremental_revenue as {{ type_money() }}) as incremental_revenue,
        cast(results.incremental_revenue_low as {{ type_money() }}) as incremental_revenue_low,
        cast(results.incremental_revenue_high as {{ type_money() }}) as incremental_revenue_high,
        {{ as_of_date() }} as as_of_date
    from arms
    inner join campaigns
        on arms.campaign_key = campaigns.campaign_key
    left join results
        on
            arms.campaign_key = results.campaign_key
            and arms.arm_role = results.arm_role
            and arms.arm = results.arm

)

select * from final
