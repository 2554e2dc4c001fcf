-- WooCommerce Subscriptions: status changes from the order notes. `on-hold` is a pause or a failed payment: a renewal
-- order that failed at that time says which. pending-cancel runs until the `end` date.
create table woo_status_changes as
select * from (
    values
    (1, 901, 31, '2024-01-01 10:00:00', 'pending', 'active', '10.00', null),
    (2, 901, 31, '2024-02-01 10:00:00', 'active', 'on-hold', '10.00', null),
    (3, 901, 31, '2024-02-03 10:00:00', 'on-hold', 'active', '10.00', null),
    (4, 901, 31, '2024-02-10 10:00:00', 'active', 'on-hold', '10.00', null),
    (5, 901, 31, '2024-02-25 10:00:00', 'on-hold', 'active', '10.00', null),
    (6, 901, 31, '2024-03-01 10:00:00', 'active', 'pending-cancel', '10.00', '2024-03-10 10:00:00'),
    (7, 901, 31, '2024-03-10 10:00:00', 'pending-cancel', 'cancelled', '10.00', null)
) as changes (note_id, subscription, customer, date_gmt, from_status, to_status, recurring_total, end_date);

create table woo_renewal_orders as
select * from (values (7001, 901, '2024-02-01 10:00:00', 'failed'), (7002, 901, '2024-03-01 10:00:00', 'completed'))
as orders (order_id, subscription, date_gmt, status);

create view told as
select
    changes.*,
    exists (
        select 1 from woo_renewal_orders as orders
        where orders.subscription = changes.subscription and orders.status = 'failed'
            and abs(date_diff('hour', cast(orders.date_gmt as timestamp), cast(changes.date_gmt as timestamp))) <= 24
    ) as payment_failed
from woo_status_changes as changes;

create view subscription_events as
select
    cast(note_id as varchar) as event_id,
    cast(subscription as varchar) as subscription_id,
    case
        when to_status = 'active' and from_status in ('pending', 'new') then 'activated'
        when to_status = 'on-hold' and payment_failed then 'payment_failed'
        when to_status = 'on-hold' then 'paused'
        when to_status = 'active' and from_status = 'on-hold' then case
            when lag(payment_failed) over (partition by subscription order by date_gmt, note_id) then 'payment_recovered'
            else 'resumed'
        end
        when to_status = 'active' and from_status = 'pending-cancel' then 'cancel_withdrawn'
        when to_status = 'active' then 'reactivated'
        when to_status = 'pending-cancel' then 'cancel_scheduled'
        when to_status in ('cancelled', 'expired') then to_status
        else to_status
    end as type,
    date_gmt as occurred_at,
    end_date as effective_at,
    recurring_total as price,
    'month' as "interval"
from told;

create view subscriptions as
select
    cast(subscription as varchar) as subscription_id, cast(customer as varchar) as customer_id,
    'cancelled' as status, min(date_gmt) as started_at
from woo_status_changes
group by subscription, customer;
