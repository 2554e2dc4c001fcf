with messages as (

    select * from {{ ref('int_channels__messages') }}

),

events as (

    select * from {{ ref('int_channels__events') }}

),

best_hours as (

    select * from {{ ref('int_channels__best_hours') }}

),

reachable as (

    select * from {{ ref('int_consent__reachable') }}

),

-- nobody writes to who was deleted or erased
identity_customers as (

    select * from {{ ref('int_identity__customers') }}
    where not is_tombstone

),

-- Somebody who opened or clicked has got the message, whatever the log of deliveries says. Message 0 are reactions to
-- something whose sending nobody logged: they count as reactions, and in no rate.
message_counts as (

    select
        customer_key,
        channel,
        sum(case when sent_at is not null or delivered_at is not null then 1 else 0 end) as sent,
        sum(case when bounced_at is not null then 1 else 0 end) as bounced,
        sum(case when opened_at is not null then 1 else 0 end) as opened,
        sum(case when clicked_at is not null then 1 else 0 end) as clicked,
        sum(case when unsubscribed_at is not null then 1 else 0 end) as unsubscribed,
        sum(
            case
                when message_number > 0 and coalesce(delivered_at, opened_at, clicked_at) is not null then 1 else 0
            end
        ) as delivered,
        sum(
            case when message_number > 0 and coalesce(opened_at, clicked_at) is not null then 1 else 0 end
        ) as engaged,
        sum(machine_events) as machine_events,
        max(coalesce(sent_at, delivered_at)) as last_sent_at
    from messages
    group by customer_key, channel

),

engagements as (

    select
        customer_key,
        channel,
        max(occurred_at) as last_engaged_at,
        sum(case when event_type in ('visited', 'session') then 1 else 0 end) as visits
    from events
    where is_engagement
    group by customer_key, channel

),

stated as (

    select
        customer_key,
        lower(trim(preferred_channel)) as channel
    from identity_customers
    where preferred_channel is not null

),

pairs as (

    select
        customer_key,
        channel
    from message_counts
    union
    select
        customer_key,
        channel
    from engagements
    union
    select
        customer_key,
        channel
    from stated
    union
    select
        customer_key,
        channel
    from reachable

),

joined as (

    select
        pairs.customer_key,
        pairs.channel,
        message_counts.last_sent_at,
        engagements.last_engaged_at,
        best_hours.best_hour,
        best_hours.best_hour_events,
        reachable.consent_given_at,
        coalesce(message_counts.sent, 0) as sent,
        coalesce(message_counts.delivered, 0) as delivered,
        coalesce(message_counts.bounced, 0) as bounced,
        coalesce(message_counts.opened, 0) as opened,
        coalesce(message_counts.clicked, 0) as clicked,
        coalesce(message_counts.unsubscribed, 0) as unsubscribed,
        coalesce(message_counts.engaged, 0) as engaged,
        coalesce(message_counts.machine_events, 0) as machine_events,
        coalesce(engagements.visits, 0) as visits,
        coalesce(reachable.has_consent, false) as has_consent,
        coalesce(reachable.is_reachable, false) as is_reachable,
        stated.channel is not null as is_stated,
        pairs.channel in ({{ text_list(var('contact_channels')) }}) as is_contact_channel
    from pairs
    inner join identity_customers on pairs.customer_key = identity_customers.customer_key
    left join message_counts
        on pairs.customer_key = message_counts.customer_key and pairs.channel = message_counts.channel
    left join engagements
        on pairs.customer_key = engagements.customer_key and pairs.channel = engagements.channel
    left join best_hours
        on pairs.customer_key = best_hours.customer_key and pairs.channel = best_hours.channel
    left join reachable
        on pairs.customer_key = reachable.customer_key and pairs.channel = reachable.channel
    left join stated
        on pairs.customer_key = stated.customer_key and pairs.channel = stated.channel

),

rated as (

    select
        *,
        {{ ratio('engaged', 'delivered') }} as engagement_rate,
        is_stated or (is_contact_channel and engaged > 0) as is_candidate
    from joined

),

-- what the person said; then where one reaction to one message doesn't beat thirty to fifty
ranked as (

    select
        *,
        case
            when is_candidate then
                row_number() over (
                    partition by customer_key
                    order by
                        case when is_candidate then 0 else 1 end asc,
                        case when is_stated then 0 else 1 end asc,
                        {{ wilson_bound('engagement_rate', 'delivered', 'low') }} desc nulls last,
                        last_engaged_at desc nulls last,
                        channel asc
                )
        end as preferred_rank
    from rated

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(channel as {{ type_string() }}) as channel,
        -- contact
        cast(case
            when last_sent_at > last_engaged_at or last_engaged_at is null then last_sent_at else last_engaged_at
        end as timestamp) as last_touch_at,
        cast(last_sent_at as timestamp) as last_sent_at,
        cast(last_engaged_at as timestamp) as last_engaged_at,
        cast(sent as bigint) as sent,
        cast(delivered as bigint) as delivered,
        cast(bounced as bigint) as bounced,
        cast(opened as bigint) as opened,
        cast(clicked as bigint) as clicked,
        cast(unsubscribed as bigint) as unsubscribed,
        cast(visits as bigint) as visits,
        cast(machine_events as bigint) as machine_events,
        cast(engaged as bigint) as engaged,
        cast(engagement_rate as {{ type_double() }}) as engagement_rate,
        -- how to reach them
        cast(is_stated as boolean) as is_stated_preference,
        cast(preferred_rank as integer) as preferred_rank,
        cast(best_hour as integer) as best_hour,
        cast(best_hour_events as bigint) as best_hour_events,
        cast(has_consent as boolean) as has_consent,
        cast(consent_given_at as timestamp) as consent_given_at,
        cast(is_reachable as boolean) as is_reachable,
        {{ as_of_date() }} as as_of_date
    from ranked

)

select * from final
