-- The wide view. One CTE per subject joins the spine `known_customers`, each with at most one row per customer; a
-- further subject adds its import, its CTE if it needs one, a left join in `joined`, and its columns in `final`.
with identity_customers as (

    select * from {{ ref('int_identity__customers') }}

),

order_totals as (

    select * from {{ ref('int_customers__order_totals') }}

),

orders as (

    select * from {{ ref('orders') }}

),

first_categories as (

    select * from {{ ref('int_customers__first_category') }}

),

customer_rfm as (

    select * from {{ ref('customer_rfm') }}

),

lifecycle_history as (

    select * from {{ ref('lifecycle_history') }}

),

customer_value as (

    select * from {{ ref('customer_value') }}

),

customer_subscriptions as (

    select * from {{ ref('int_subscriptions__customers') }}

),

customer_nps as (

    select * from {{ ref('int_nps__customers') }}

),

customer_loyalty as (

    select * from {{ ref('int_loyalty__customers') }}

),

customer_referrals as (

    select * from {{ ref('int_referrals__customers') }}

),

customer_care as (

    select * from {{ ref('int_care__customers') }}

),

customer_reviews as (

    select * from {{ ref('int_reviews__customers') }}

),

customer_channels as (

    select * from {{ ref('int_channels__customers') }}

),

-- who was deleted or erased stays for the sake of the revenue, and only for that
known_customers as (

    select
        identity_customers.customer_key,
        identity_customers.account_type,
        identity_customers.country,
        identity_customers.company,
        identity_customers.acquisition_channel,
        identity_customers.birth_year,
        identity_customers.first_seen_at,
        identity_customers.is_tombstone
    from identity_customers
    left join order_totals on identity_customers.customer_key = order_totals.customer_key
    where
        not identity_customers.is_tombstone
        or order_totals.customer_key is not null

),

second_orders as (

    select
        customer_key,
        order_date as second_order_date
    from orders
    where
        order_number = 2
        and customer_key is not null

),

-- the stay that still holds at as-of: one per customer, since stays neither overlap nor leave gaps
current_stays as (

    select
        customer_key,
        state,
        valid_from,
        silent_since
    from lifecycle_history
    where valid_to is null

),

joined as (

    select
        known_customers.*,
        order_totals.first_order_date,
        order_totals.last_order_date,
        second_orders.second_order_date,
        first_categories.first_category,
        customer_rfm.r_score,
        customer_rfm.f_score,
        customer_rfm.m_score,
        current_stays.state as lifecycle_state,
        current_stays.valid_from as lifecycle_since,
        current_stays.silent_since,
        customer_value.value_status,
        customer_value.p_alive,
        customer_value.expected_orders_365d,
        customer_value.predicted_value_365d,
        customer_value.value_decile,
        customer_value.next_order_date_p50,
        customer_subscriptions.paused_since,
        customer_nps.nps_score,
        customer_nps.nps_scale,
        customer_nps.nps_group,
        customer_nps.nps_responded_at,
        customer_loyalty.loyalty_tier,
        customer_loyalty.loyalty_tier_since,
        customer_loyalty.loyalty_points,
        customer_loyalty.loyalty_points_expiring_30d,
        customer_loyalty.loyalty_next_tier,
        customer_loyalty.points_to_next_tier,
        customer_loyalty.spend_to_next_tier,
        customer_referrals.referred_by,
        customer_care.last_ticket_at,
        customer_care.last_csat,
        customer_reviews.last_rating,
        customer_channels.preferred_channel,
        customer_channels.last_touch_at,
        coalesce(customer_referrals.referrals_made, 0) as referrals_made,
        coalesce(customer_referrals.referrals_converted, 0) as referrals_converted,
        coalesce(customer_referrals.is_referred, false) as is_referred,
        coalesce(customer_care.open_tickets, 0) as open_tickets,
        coalesce(customer_reviews.reviews, 0) as reviews,
        coalesce(customer_channels.is_reachable_email, false) as is_reachable_email,
        coalesce(customer_channels.is_reachable_sms, false) as is_reachable_sms,
        coalesce(customer_channels.is_reachable_push, false) as is_reachable_push,
        coalesce(customer_channels.is_reachable_post, false) as is_reachable_post,
        coalesce(customer_subscriptions.has_active_subscription, false) as has_active_subscription,
        coalesce(customer_subscriptions.is_paused, false) as is_paused,
        coalesce(customer_subscriptions.mrr, 0) as mrr,
        -- silent for too long, or paused for too long
        coalesce(current_stays.state = 'at_risk', false)
        or customer_subscriptions.paused_too_long_since is not null as is_at_risk,
        coalesce(current_stays.state = 'registered_at_risk', false) as is_registered_at_risk,
        -- lapsed is never said of somebody whose subscription is live, nor of somebody who never bought
        coalesce(current_stays.state = 'lapsed', false) as is_churned,
        case
            when current_stays.state = 'at_risk' then current_stays.valid_from
            else customer_subscriptions.paused_too_long_since
        end as at_risk_since,
        coalesce(order_totals.orders, 0) as orders,
        coalesce(order_totals.order_days, 0) as order_days,
        coalesce(order_totals.net_revenue, 0) as net_revenue,
        case when customer_rfm.customer_key is null then 'prospect' else customer_rfm.rfm_segment end as rfm_segment,
        case
            when customer_rfm.customer_key is null then 'prospect' else customer_rfm.rfm_segment_125
        end as rfm_segment_125,
        case
            when customer_rfm.customer_key is null then 'RFM: prospect' else customer_rfm.rfm_segment_label
        end as rfm_segment_label
    from known_customers
    left join order_totals on known_customers.customer_key = order_totals.customer_key
    left join second_orders on known_customers.customer_key = second_orders.customer_key
    left join first_categories on known_customers.customer_key = first_categories.customer_key
    left join customer_rfm on known_customers.customer_key = customer_rfm.customer_key
    left join current_stays on known_customers.customer_key = current_stays.customer_key
    left join customer_value on known_customers.customer_key = customer_value.customer_key
    left join customer_subscriptions on known_customers.customer_key = customer_subscriptions.customer_key
    left join customer_nps on known_customers.customer_key = customer_nps.customer_key
    left join customer_loyalty on known_customers.customer_key = customer_loyalty.customer_key
    left join customer_referrals on known_customers.customer_key = customer_referrals.customer_key
    left join customer_care on known_customers.customer_key = customer_care.customer_key
    left join customer_reviews on known_customers.customer_key = customer_reviews.customer_key
    left join customer_channels on known_customers.customer_key = customer_channels.customer_key

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        -- who
        cast(account_type as {{ type_string() }}) as account_type,
        cast(country as {{ type_string() }}) as country,
        cast(company as {{ type_string() }}) as company,
        cast(acquisition_channel as {{ type_string() }}) as acquisition_channel,
        cast(birth_year as integer) as birth_year,
        cast(preferred_channel as {{ type_string() }}) as preferred_channel,
        cast(first_seen_at as timestamp) as first_seen_at,
        cast(is_tombstone as boolean) as is_tombstone,
        -- orders
        cast(orders as bigint) as orders,
        cast(order_days as bigint) as order_days,
        cast(net_revenue as {{ type_money() }}) as net_revenue,
        {{ ratio('net_revenue', 'orders') }} as average_order_value,
        cast(first_order_date as date) as first_order_date,
        cast(second_order_date as date) as second_order_date,
        cast(last_order_date as date) as last_order_date,
        cast({{ days_between('last_order_date', as_of_date()) }} as integer) as days_since_last_order,
        cast(first_category as {{ type_string() }}) as first_category,
        -- rfm
        cast(r_score as integer) as r_score,
        cast(f_score as integer) as f_score,
        cast(m_score as integer) as m_score,
        cast(rfm_segment as {{ type_string() }}) as rfm_segment,
        cast(rfm_segment_125 as {{ type_string() }}) as rfm_segment_125,
        cast(rfm_segment_label as {{ type_string() }}) as rfm_segment_label,
        -- lifecycle
        cast(lifecycle_state as {{ type_string() }}) as lifecycle_state,
        cast(lifecycle_since as date) as lifecycle_since,
        cast({{ days_between('silent_since', as_of_date()) }} as integer) as days_silent,
        cast(is_at_risk as boolean) as is_at_risk,
        cast(at_risk_since as date) as at_risk_since,
        cast(is_registered_at_risk as boolean) as is_registered_at_risk,
        cast(is_churned as boolean) as is_churned,
        -- subscriptions
        cast(has_active_subscription as boolean) as has_active_subscription,
        cast(is_paused as boolean) as is_paused,
        cast(paused_since as date) as paused_since,
        cast(mrr as {{ type_money() }}) as mrr,
        -- value
        cast(value_status as {{ type_string() }}) as value_status,
        cast(p_alive as {{ type_double() }}) as p_alive,
        cast(expected_orders_365d as {{ type_double() }}) as expected_orders_365d,
        cast(predicted_value_365d as {{ type_money() }}) as predicted_value_365d,
        cast(value_decile as integer) as value_decile,
        cast(next_order_date_p50 as date) as next_order_date_p50,
        -- satisfaction
        cast(nps_score as bigint) as nps_score,
        cast(nps_scale as {{ type_string() }}) as nps_scale,
        cast(nps_group as {{ type_string() }}) as nps_group,
        cast(nps_responded_at as timestamp) as nps_responded_at,
        -- loyalty
        cast(loyalty_tier as {{ type_string() }}) as loyalty_tier,
        cast(loyalty_tier_since as date) as loyalty_tier_since,
        cast(loyalty_points as bigint) as loyalty_points,
        cast(loyalty_points_expiring_30d as bigint) as loyalty_points_expiring_30d,
        cast(loyalty_next_tier as {{ type_string() }}) as loyalty_next_tier,
        cast(points_to_next_tier as bigint) as points_to_next_tier,
        cast(spend_to_next_tier as {{ type_money() }}) as spend_to_next_tier,
        -- referrals
        cast(referrals_made as bigint) as referrals_made,
        cast(referrals_converted as bigint) as referrals_converted,
        cast(is_referred as boolean) as is_referred,
        cast(referred_by as {{ type_string() }}) as referred_by,
        -- care and reviews
        cast(open_tickets as bigint) as open_tickets,
        cast(last_ticket_at as timestamp) as last_ticket_at,
        cast(last_csat as integer) as last_csat,
        cast(reviews as bigint) as reviews,
        cast(last_rating as integer) as last_rating,
        -- channels
        cast(last_touch_at as timestamp) as last_touch_at,
        cast(is_reachable_email as boolean) as is_reachable_email,
        cast(is_reachable_sms as boolean) as is_reachable_sms,
        cast(is_reachable_push as boolean) as is_reachable_push,
        cast(is_reachable_post as boolean) as is_reachable_post,
        {{ as_of_date() }} as as_of_date
    from joined

)

select * from final
