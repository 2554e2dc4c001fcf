-- Stripe: each customer.subscription.* event carries the whole object after the change. Status stays `active` while a
-- subscription is paused: only pause_collection tells. Times are unix seconds, amounts cents.
create table stripe_events as
select * from (
    values
    ('evt_1', 'customer.subscription.created', 1704103200, 'sub_1', 'cus_1', 'trialing', null, null, null, 1705312800, 1000),
    ('evt_2', 'customer.subscription.updated', 1705312800, 'sub_1', 'cus_1', 'active', null, null, null, 1705312800, 1000),
    ('evt_3', 'customer.subscription.updated', 1706781600, 'sub_1', 'cus_1', 'active', 'void', 1709287200, null, null, 1000),
    ('evt_4', 'customer.subscription.updated', 1709287200, 'sub_1', 'cus_1', 'active', null, null, null, null, 1200),
    ('evt_5', 'customer.subscription.updated', 1710151200, 'sub_1', 'cus_1', 'past_due', null, null, null, null, 1200),
    ('evt_6', 'customer.subscription.updated', 1710237600, 'sub_1', 'cus_1', 'active', null, null, null, null, 1200),
    ('evt_7', 'customer.subscription.updated', 1710410400, 'sub_1', 'cus_1', 'active', null, null, 1711015200, null, 1200),
    ('evt_8', 'customer.subscription.deleted', 1711015200, 'sub_1', 'cus_1', 'canceled', null, null, 1711015200, null, 1200)
) as events (id, type, created, subscription, customer, status, pause_behavior, resumes_at, cancel_at, trial_end, unit_amount);

create view changes as
select
    *,
    lag(status) over (partition by subscription order by created, id) as status_before,
    lag(pause_behavior) over (partition by subscription order by created, id) as pause_before,
    lag(cancel_at) over (partition by subscription order by created, id) as cancel_before,
    lag(unit_amount) over (partition by subscription order by created, id) as amount_before
from stripe_events;

-- one Stripe event may tell of several changes, so it may become several events
create view subscription_events as
select
    id || ':' || kind.type as event_id,
    subscription as subscription_id,
    kind.type,
    to_timestamp(created)::timestamp as occurred_at,
    to_timestamp(kind.effective)::timestamp as effective_at,
    unit_amount / 100.0 as price,
    'month' as "interval"
from changes, unnest([
    {'happened': status_before is null and status = 'trialing', 'type': 'trial_started', 'effective': trial_end},
    {'happened': status = 'active' and (status_before is null or status_before = 'trialing'), 'type': 'activated', 'effective': null},
    {'happened': amount_before != unit_amount, 'type': 'price_changed', 'effective': null},
    {'happened': pause_before is null and pause_behavior is not null, 'type': 'paused', 'effective': resumes_at},
    {'happened': pause_before is not null and pause_behavior is null, 'type': 'resumed', 'effective': null},
    {'happened': status in ('past_due', 'unpaid') and status_before not in ('past_due', 'unpaid'), 'type': 'payment_failed', 'effective': null},
    {'happened': status = 'active' and status_before in ('past_due', 'unpaid'), 'type': 'payment_recovered', 'effective': null},
    {'happened': cancel_before is null and cancel_at is not null and status != 'canceled', 'type': 'cancel_scheduled', 'effective': cancel_at},
    {'happened': cancel_before is not null and cancel_at is null, 'type': 'cancel_withdrawn', 'effective': null},
    {'happened': status = 'canceled', 'type': 'cancelled', 'effective': null},
    {'happened': status in ('incomplete_expired', 'paused'), 'type': 'expired', 'effective': null}
]) as kinds (kind)
where kind.happened;

create view subscriptions as
select
    subscription as subscription_id,
    customer as customer_id,
    case
        when status = 'canceled' then 'cancelled'
        when status in ('incomplete_expired', 'paused') then 'expired'
        when pause_behavior is not null then 'paused'
        when status = 'unpaid' then 'past_due'
        else status
    end as status,
    to_timestamp(min(created) over (partition by subscription))::timestamp as started_at
from stripe_events
qualify row_number() over (partition by subscription order by created desc, id desc) = 1;
