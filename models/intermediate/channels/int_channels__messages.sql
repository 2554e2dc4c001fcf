with events as (

    select * from {{ ref('int_channels__events') }}
    where message_number is not null

),

final as (

    select
        customer_key,
        channel,
        campaign_key,
        message_number,
        cast(min(case when event_type = 'sent' then occurred_at end) as timestamp) as sent_at,
        cast(min(case when event_type = 'delivered' then occurred_at end) as timestamp) as delivered_at,
        cast(min(case when event_type = 'bounced' then occurred_at end) as timestamp) as bounced_at,
        cast(
            min(case when event_type in ('opened', 'push_opened') and not is_machine then occurred_at end) as timestamp
        ) as opened_at,
        cast(min(case when event_type = 'clicked' and not is_machine then occurred_at end) as timestamp) as clicked_at,
        cast(min(case when event_type = 'unsubscribed' then occurred_at end) as timestamp) as unsubscribed_at,
        cast(sum(case when is_machine then 1 else 0 end) as bigint) as machine_events
    from events
    group by customer_key, channel, campaign_key, message_number

)

select * from final
