-- The thresholds that customers' lifecycles now stand for.
{{ after_the_lifecycle() }}
with thresholds as (

    select * from {{ ref('lifecycle_thresholds') }}
    {% if not takes_fingerprints() %}where false{% endif %}

),

final as (

    select
        business_line,
        month,
        policy,
        at_risk_days,
        lapsed_days,
        median_gap_days,
        at_risk_percentile_days,
        lapsed_percentile_days
    from thresholds

)

select * from final
