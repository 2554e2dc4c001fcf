-- Intervals hold their estimate, probabilities are ones, and no increment is stated where nothing may be concluded.
select
    campaign_key,
    arm
from {{ ref('campaign_results') }}
where
    conversion_difference not between conversion_difference_low and conversion_difference_high
    or cuped_spend_difference not between cuped_spend_difference_low and cuped_spend_difference_high
    or probability_best not between 0 and 1
    or probability_beats_holdout not between 0 and 1
    or conversion_p_value not between 0 and 1
    or (status not in ('better', 'worse', 'undecided') and incremental_revenue is not null)
    or (method = 'fixed_end' and not is_complete and conversion_p_value is not null)
    or (is_sample_ratio_alarm and status not in ('srm_alarm', 'reference', 'no_holdout'))
