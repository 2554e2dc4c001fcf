-- Subscriptions as they stand at the close of as-of.
with accounts as (

    select * from {{ ref('int_subscriptions__accounts') }}

),

intervals as (

    select * from {{ ref('int_subscriptions__intervals') }}

),

steps as (

    select * from {{ ref('int_subscriptions__steps') }}
    where outcome != 'quarantined'

),

pauses as (

    select * from {{ ref('subscription_pauses') }}

),

standing as (

    select * from intervals
    where valid_to is null

),

lives as (

    select
        subscription_key,
        min(valid_from) as started_at,
        max(life_number) as lives,
        max(case when is_inferred then 1 else 0 end) as has_inferred
    from intervals
    group by subscription_key

),

-- the step that ended the present life, and what stood before it
endings as (

    select
        subscription_key,
        life_number,
        happened_at as ended_at,
        reason,
        event_type,
        payment_state
    from steps
    where event_type in ({{ ended_states() }})

),

-- the last word about the end: a cancellation that is scheduled for a day to come
last_words as (

    select
        subscription_key,
        life_number,
        event_type,
        effective_at,
        reason,
        row_number() over (partition by subscription_key, life_number order by step desc) as recency
    from steps
    where event_type in ('cancel_scheduled', 'cancel_withdrawn', 'reactivated', 'cancelled', 'expired')

),

scheduled as (

    select
        subscription_key,
        life_number,
        effective_at,
        reason
    from last_words
    where recency = 1 and event_type = 'cancel_scheduled'

),

pause_totals as (

    select
        subscription_key,
        count(*) as times_paused,
        sum(days_paused) as days_paused,
        max(case when outcome = 'paused' then paused_date end) as paused_since,
        max(case when outcome = 'paused' then expected_resume_date end) as expected_resume_date
    from pauses
    group by subscription_key

),

final as (

    select
        cast(standing.subscription_key as {{ type_string() }}) as subscription_key,
        cast(standing.customer_key as {{ type_string() }}) as customer_key,
        cast(accounts.system as {{ type_string() }}) as system,
        cast(standing.state as {{ type_string() }}) as state,
        standing.state in ({{ live_states() }}) as is_live,
        cast(standing.valid_from as timestamp) as state_since,
        cast(standing.plan_id as {{ type_string() }}) as plan,
        cast(standing.price as {{ type_price() }}) as price,
        cast(standing.billing_interval as {{ type_string() }}) as billing_interval,
        cast(standing.interval_count as bigint) as interval_count,
        cast(standing.quantity as bigint) as quantity,
        cast(standing.currency as {{ type_string() }}) as currency,
        cast(standing.mrr as {{ type_money() }}) as mrr,
        cast(standing.paused_mrr as {{ type_money() }}) as paused_mrr,
        cast(standing.money_problem as {{ type_string() }}) as money_problem,
        cast(lives.started_at as timestamp) as started_at,
        {{ business_date('lives.started_at') }} as started_date,
        cast(endings.ended_at as timestamp) as ended_at,
        {{ business_date('endings.ended_at') }} as ended_date,
        cast(case
            when endings.ended_at is null then {{ business_date('scheduled.effective_at') }}
        end as date) as cancels_on,
        cast(pause_totals.paused_since as date) as paused_since,
        cast(pause_totals.expected_resume_date as date) as expected_resume_date,
        cast(coalesce(pause_totals.times_paused, 0) as bigint) as times_paused,
        cast(coalesce(pause_totals.days_paused, 0) as bigint) as days_paused,
        cast(case
            when endings.ended_at is not null then coalesce(endings.reason, accounts.cancel_reason)
            else scheduled.reason
        end as {{ type_string() }}) as cancel_reason,
        cast(case
            when endings.ended_at is null then null
            when endings.payment_state = 'past_due' or endings.reason = 'payment_failed' then 'involuntary'
            when endings.event_type = 'expired' then 'expired'
            else 'voluntary'
        end as {{ type_string() }}) as churn_kind,
        cast(lives.lives as integer) as lives,
        lives.has_inferred = 1 as has_inferred,
        {{ as_of_date() }} as as_of_date
    from standing
    inner join accounts on standing.subscription_key = accounts.subscription_key
    inner join lives on standing.subscription_key = lives.subscription_key
    left join endings
        on standing.subscription_key = endings.subscription_key and standing.life_number = endings.life_number
    left join scheduled
        on standing.subscription_key = scheduled.subscription_key and standing.life_number = scheduled.life_number
    left join pause_totals on standing.subscription_key = pause_totals.subscription_key

)

select * from final
