-- Recharge: webhook topics. A pause is a next charge date moved far away, or, where the shop turned it on, paused and
-- activated topics; here the latter.
create table recharge_webhooks as
select * from (
    values
    (1, 'subscription/created', '2024-01-01T10:00:00Z', 77, 501, '10.00', 1, 'month', null, null),
    (2, 'charge/paid', '2024-02-01T10:00:00Z', 77, 501, '10.00', 1, 'month', null, null),
    (3, 'subscription/skipped', '2024-02-10T10:00:00Z', 77, 501, '10.00', 1, 'month', null, null),
    (4, 'charge/failed', '2024-03-01T10:00:00Z', 77, 501, '10.00', 1, 'month', null, null),
    (5, 'charge/paid', '2024-03-03T10:00:00Z', 77, 501, '10.00', 1, 'month', null, null),
    (6, 'subscription/paused', '2024-03-05T10:00:00Z', 77, 501, '10.00', 1, 'month', '2024-03-20T10:00:00Z', null),
    (7, 'subscription/activated', '2024-03-12T10:00:00Z', 77, 501, '10.00', 1, 'month', null, null),
    (8, 'subscription/cancelled', '2024-03-20T10:00:00Z', 77, 501, '10.00', 1, 'month', null, 'too much'),
    (9, 'subscription/activated', '2024-03-25T10:00:00Z', 77, 501, '10.00', 1, 'month', null, null)
) as hooks (id, topic, created_at, subscription_id, customer_id, price, order_interval_frequency, order_interval_unit, resumes_at, cancellation_reason);

create view subscription_events as
select
    cast(id as varchar) as event_id,
    cast(subscription_id as varchar) as subscription_id,
    case topic
        when 'subscription/created' then 'activated'
        when 'subscription/skipped' then 'skipped'
        when 'subscription/paused' then 'paused'
        when 'subscription/cancelled' then 'cancelled'
        when 'charge/failed' then 'payment_failed'
        when 'charge/paid' then 'renewed'
        -- the same word ends a pause and a cancellation: what was last said of either tells
        when 'subscription/activated' then case
            when last_value(case when topic in ('subscription/paused', 'subscription/cancelled') then topic end ignore nulls)
                over (partition by subscription_id order by created_at, id) = 'subscription/cancelled' then 'reactivated'
            else 'resumed'
        end
        else topic
    end as type,
    created_at as occurred_at,
    resumes_at as effective_at,
    price,
    order_interval_unit as "interval",
    order_interval_frequency as interval_count,
    cancellation_reason as reason
from recharge_webhooks;

create view subscriptions as
select
    cast(subscription_id as varchar) as subscription_id, cast(customer_id as varchar) as customer_id,
    'active' as status, min(created_at) as started_at
from recharge_webhooks
group by subscription_id, customer_id;
