-- Recurly: `canceled` means "will end" (it runs until expires_at); a pause begins with the next period (paused_at may lie
-- ahead) and lasts remaining_pause_cycles billing periods; 0 cycles takes a pause back.
create table recurly_notifications as
select * from (
    values
    (1, 'new_subscription', '2024-01-01T10:00:00Z', 'u1', 'a1', 10.00, null, null, null),
    (2, 'paused_subscription', '2024-01-20T10:00:00Z', 'u1', 'a1', 10.00, '2024-02-01T10:00:00Z', 1, null),
    (3, 'subscription_resumed', '2024-02-10T10:00:00Z', 'u1', 'a1', 10.00, null, null, null),
    (4, 'failed_payment', '2024-02-15T10:00:00Z', 'u1', 'a1', 10.00, null, null, null),
    (5, 'successful_payment', '2024-02-16T10:00:00Z', 'u1', 'a1', 10.00, null, null, null),
    (6, 'canceled_subscription', '2024-02-20T10:00:00Z', 'u1', 'a1', 10.00, null, null, '2024-03-01T10:00:00Z'),
    (7, 'reactivated_account', '2024-02-21T10:00:00Z', 'u1', 'a1', 10.00, null, null, null),
    (8, 'canceled_subscription', '2024-02-22T10:00:00Z', 'u1', 'a1', 10.00, null, null, '2024-03-10T10:00:00Z'),
    (9, 'expired_subscription', '2024-03-10T10:00:00Z', 'u1', 'a1', 10.00, null, null, '2024-03-10T10:00:00Z')
) as notices (id, type, sent_at, uuid, account_code, unit_amount, paused_at, remaining_pause_cycles, expires_at);

create view subscription_events as
select
    cast(id as varchar) || coalesce(':' || part, '') as event_id,
    uuid as subscription_id,
    case
        when type = 'new_subscription' then 'activated'
        when type = 'paused_subscription' and remaining_pause_cycles = 0 then 'pause_withdrawn'
        when part = 'begins' then 'paused'
        when type = 'paused_subscription' then 'pause_scheduled'
        when type = 'subscription_resumed' then 'resumed'
        when type = 'failed_payment' then 'payment_failed'
        when type = 'successful_payment' then 'renewed'
        when type = 'canceled_subscription' then 'cancel_scheduled'
        when type = 'reactivated_account' then 'reactivated'
        -- the date of the cancellation has come: the schedule says so already
        when type = 'expired_subscription' then 'cancelled'
        else type
    end as type,
    case when part = 'begins' then cast(paused_at as timestamp) else cast(sent_at as timestamp) end as occurred_at,
    case
        -- said when it begins, the pause knows its end: so many months from then
        when part = 'begins' then cast(paused_at as timestamp) + remaining_pause_cycles * interval '1 month'
        when type = 'paused_subscription' then cast(paused_at as timestamp)
        when type = 'canceled_subscription' then cast(expires_at as timestamp)
    end as effective_at,
    unit_amount as price,
    'month' as "interval"
from recurly_notifications,
    unnest(case when type = 'paused_subscription' and remaining_pause_cycles > 0 then ['said', 'begins'] else [null] end) as parts (part)
-- a pause that was taken back before it began doesn't begin (looked up in the log), nor does one that is still ahead
where part is distinct from 'begins' or not exists (
    select 1 from recurly_notifications as later
    where later.uuid = recurly_notifications.uuid and later.id > recurly_notifications.id
        and later.sent_at <= recurly_notifications.paused_at
        and (later.type = 'subscription_resumed' or later.remaining_pause_cycles = 0)
);

create view subscriptions as
select uuid as subscription_id, account_code as customer_id, 'cancelled' as status, min(sent_at) as started_at
from recurly_notifications
group by uuid, account_code;
