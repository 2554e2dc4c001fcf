-- Where a log and today's row both exist the log rules; rows that say otherwise are listed. A row that was last updated
-- before the log's state began, or after as-of, speaks of another time and can't disagree.
with accounts as (

    select * from {{ ref('int_subscriptions__accounts') }}
    where updated_at is null or {{ business_date('updated_at') }} <= {{ as_of_date() }}

),

logs as (

    select distinct subscription_key from {{ ref('int_subscriptions__logged_events') }}

),

intervals as (

    select * from {{ ref('int_subscriptions__intervals') }}
    where valid_to is null and not is_inferred

),

final as (

    select
        accounts.subscription_key,
        accounts.system,
        accounts.subscription_id,
        accounts.today_status as stated_status,
        intervals.state as logged_state,
        accounts.is_unknown_status
    from accounts
    inner join intervals on accounts.subscription_key = intervals.subscription_key
    inner join logs on accounts.subscription_key = logs.subscription_key
    where
        accounts.today_status != intervals.state
        and (accounts.updated_at is null or accounts.updated_at >= intervals.valid_from)

)

select * from final
