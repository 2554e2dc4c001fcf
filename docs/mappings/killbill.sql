-- Kill Bill: entitlement (access) and billing pause separately. The money follows billing: an entitlement that is paused
-- alone is no pause. Blocking states may be dated ahead.
create table killbill_events as
select * from (
    values
    ('k1', 'b1', 'acc1', 'START_ENTITLEMENT', '2024-01-01', '2024-01-01', 'TRIAL', 10.00),
    ('k2', 'b1', 'acc1', 'START_BILLING', '2024-01-01', '2024-01-01', 'TRIAL', 10.00),
    ('k3', 'b1', 'acc1', 'PHASE', '2024-01-15', '2024-01-15', 'EVERGREEN', 10.00),
    ('k4', 'b1', 'acc1', 'PAUSE_ENTITLEMENT', '2024-01-20', '2024-01-20', 'EVERGREEN', 10.00),
    ('k5', 'b1', 'acc1', 'RESUME_ENTITLEMENT', '2024-01-25', '2024-01-25', 'EVERGREEN', 10.00),
    ('k6', 'b1', 'acc1', 'PAUSE_BILLING', '2024-02-01', '2024-02-10', 'EVERGREEN', 10.00),
    ('k7', 'b1', 'acc1', 'RESUME_BILLING', '2024-02-25', '2024-02-25', 'EVERGREEN', 10.00),
    ('k8', 'b1', 'acc1', 'STOP_ENTITLEMENT', '2024-03-01', '2024-03-10', 'EVERGREEN', 10.00),
    ('k9', 'b1', 'acc1', 'STOP_BILLING', '2024-03-01', '2024-03-10', 'EVERGREEN', 10.00)
) as events (event_id, bundle_id, account_id, event_type, requested_date, effective_date, phase, recurring_price);

create view subscription_events as
select
    event_id,
    bundle_id as subscription_id,
    case
        when event_type = 'START_BILLING' and phase = 'TRIAL' then 'trial_started'
        when event_type in ('START_BILLING', 'PHASE') then 'activated'
        when event_type = 'PAUSE_BILLING' and effective_date > requested_date then 'pause_scheduled'
        when event_type = 'PAUSE_BILLING' then 'paused'
        when event_type = 'RESUME_BILLING' then 'resumed'
        when event_type = 'STOP_BILLING' and effective_date > requested_date then 'cancel_scheduled'
        when event_type = 'STOP_BILLING' then 'cancelled'
        else event_type
    end as type,
    requested_date || 'T12:00:00Z' as occurred_at,
    case when effective_date > requested_date then effective_date || 'T12:00:00Z' end as effective_at,
    recurring_price as price,
    'month' as "interval"
from killbill_events
where event_type not like '%ENTITLEMENT%';

create view subscriptions as
select bundle_id as subscription_id, account_id as customer_id, 'cancelled' as status, min(requested_date) as started_at
from killbill_events
group by bundle_id, account_id;
