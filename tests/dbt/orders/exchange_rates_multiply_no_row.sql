-- One rate per currency and day, so that the join multiplies no order; none older than the policy allows.
select
    currency,
    business_date
from {{ ref('int_orders__exchange_rates') }}
group by currency, business_date
having count(*) > 1 or max(rate_age_days) > {{ var('fx_max_age_days') }} or min(rate_age_days) < 0
