-- Chargebee: event types say it all; a pause that is scheduled has its own event, and another when it begins.
create table chargebee_events as
select * from (
    values
    ('ev1', 'subscription_created', '2024-01-01T10:00:00Z', 's1', 'c1', 'in_trial', 1000, '2024-01-15T10:00:00Z', null, null, null),
    ('ev2', 'subscription_activated', '2024-01-15T10:00:00Z', 's1', 'c1', 'active', 1000, null, null, null, null),
    ('ev3', 'subscription_pause_scheduled', '2024-01-20T10:00:00Z', 's1', 'c1', 'active', 1000, null, '2024-02-01T10:00:00Z', '2024-03-01T10:00:00Z', null),
    ('ev4', 'subscription_scheduled_pause_removed', '2024-01-21T10:00:00Z', 's1', 'c1', 'active', 1000, null, null, null, null),
    ('ev5', 'subscription_pause_scheduled', '2024-01-22T10:00:00Z', 's1', 'c1', 'active', 1000, null, '2024-02-05T10:00:00Z', '2024-02-20T10:00:00Z', null),
    ('ev6', 'subscription_paused', '2024-02-05T10:00:00Z', 's1', 'c1', 'paused', 1000, null, '2024-02-05T10:00:00Z', '2024-02-20T10:00:00Z', null),
    ('ev7', 'subscription_resumed', '2024-02-20T10:00:00Z', 's1', 'c1', 'active', 1000, null, null, null, null),
    ('ev8', 'subscription_cancellation_scheduled', '2024-03-01T10:00:00Z', 's1', 'c1', 'non_renewing', 1000, null, null, null, '2024-03-20T10:00:00Z'),
    ('ev9', 'subscription_scheduled_cancellation_removed', '2024-03-02T10:00:00Z', 's1', 'c1', 'active', 1000, null, null, null, null),
    ('ev10', 'subscription_cancelled', '2024-03-10T10:00:00Z', 's1', 'c1', 'cancelled', 1000, null, null, null, '2024-03-10T10:00:00Z'),
    ('ev11', 'subscription_reactivated', '2024-03-15T10:00:00Z', 's1', 'c1', 'active', 1000, null, null, null, null)
) as events (id, event_type, occurred_at, subscription_id, customer_id, status, amount, trial_end, pause_date, resume_date, cancelled_at);

create view subscription_events as
select
    id as event_id,
    subscription_id,
    case event_type
        when 'subscription_created' then case when status = 'in_trial' then 'trial_started' else 'activated' end
        when 'subscription_activated' then 'activated'
        when 'subscription_renewed' then 'renewed'
        when 'subscription_pause_scheduled' then 'pause_scheduled'
        when 'subscription_scheduled_pause_removed' then 'pause_withdrawn'
        when 'subscription_paused' then 'paused'
        when 'subscription_resumed' then 'resumed'
        when 'payment_failed' then 'payment_failed'
        when 'payment_succeeded' then 'renewed'
        when 'subscription_cancellation_scheduled' then 'cancel_scheduled'
        when 'subscription_scheduled_cancellation_removed' then 'cancel_withdrawn'
        when 'subscription_cancelled' then 'cancelled'
        when 'subscription_reactivated' then 'reactivated'
        else event_type
    end as type,
    occurred_at,
    case event_type
        when 'subscription_created' then trial_end
        when 'subscription_pause_scheduled' then pause_date
        when 'subscription_paused' then resume_date
        when 'subscription_cancellation_scheduled' then cancelled_at
    end as effective_at,
    amount / 100.0 as price,
    'month' as "interval"
from chargebee_events;

create view subscriptions as
select subscription_id, customer_id, 'active' as status, min(occurred_at) as started_at
from chargebee_events
group by subscription_id, customer_id;
