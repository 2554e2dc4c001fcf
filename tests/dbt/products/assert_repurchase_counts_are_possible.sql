-- Every purchase day of a product but a buyer's first ends an interval, and each group is part of the one before.
select product_key
from {{ ref('product_repurchase') }}
where
    purchase_days - buyers != intervals
    or repeat_buyers > buyers
    or repeat_buyers > intervals
    or eligible_buyers > buyers
    or eligible_repeat_buyers > eligible_buyers
    or eligible_repeat_buyers > repeat_buyers
    or interval_p25_days > interval_median_days
    or interval_median_days > interval_p75_days
    or subscription_score < 0
    or subscription_score > 1
    or (
        is_subscription_candidate
        and coalesce(subscription_score, 0) < 1 - {{ var('subscription_max_variation') }} - 1e-9
    )
