{#- Σ amount of a customer is their net revenue: an order stands at what it was worth before refunds, a refund takes its
    part away on its own day. -#}
{%- set sources = {
    'first_contact': 'first_contacts', 'order': 'order_touchpoints', 'refund': 'refund_touchpoints',
    'ticket_opened': 'ticket_touchpoints', 'ticket_resolved': 'resolution_touchpoints', 'review': 'review_touchpoints',
    'nps_response': 'nps_touchpoints', 'campaign_assigned': 'assignment_touchpoints',
    'message_sent': 'sent_touchpoints', 'message_opened': 'opened_touchpoints',
    'message_clicked': 'clicked_touchpoints', 'unsubscribed': 'unsubscribed_touchpoints',
    'subscription': 'subscription_touchpoints', 'tier_changed': 'tier_touchpoints',
} -%}
{%- set text = type_string() -%}
-- sqlfluff:indentation:template_blocks_indent:false
with identity_customers as (

    select * from {{ ref('int_identity__customers') }}
    where not is_tombstone

),

orders as (

    select * from {{ ref('orders') }}
    where customer_key is not null

),

refunds as (

    select * from {{ ref('refunds') }}
    where customer_key is not null

),

support_tickets as (

    select * from {{ ref('support_tickets') }}
    where customer_key is not null

),

reviews as (

    select * from {{ ref('reviews') }}
    where customer_key is not null

),

nps_responses as (

    select * from {{ ref('int_canonical__nps_responses') }}
    where row_status = 'current' and not is_after_as_of

),

campaign_assignments as (

    select * from {{ ref('int_canonical__campaign_assignments') }}
    where row_status = 'current' and not is_after_as_of

),

messages as (

    select * from {{ ref('int_channels__messages') }}

),

subscription_events as (

    select * from {{ ref('int_subscriptions__events') }}

),

subscriptions as (

    select * from {{ ref('subscriptions') }}
    where customer_key is not null

),

loyalty_tier_history as (

    select * from {{ ref('loyalty_tier_history') }}
    where previous_tier is not null

),

first_contacts as (

    select
        customer_key,
        first_seen_at as occurred_at,
        {{ business_date('first_seen_at') }} as touchpoint_date,
        'first_contact' as touchpoint,
        acquisition_channel as channel,
        first_entity as detail,
        cast(null as {{ type_money() }}) as amount,
        customer_key as source_key
    from identity_customers

),

order_touchpoints as (

    select
        customer_key,
        ordered_at as occurred_at,
        order_date as touchpoint_date,
        'order' as touchpoint,
        channel,
        case when is_first_order then 'first' else 'repeat' end as detail,
        net_revenue + refunded as amount,
        order_key as source_key
    from orders

),

refund_touchpoints as (

    select
        customer_key,
        refunded_at as occurred_at,
        refund_date as touchpoint_date,
        'refund' as touchpoint,
        cast(null as {{ text }}) as channel,
        case when order_key is null then 'without_order' else 'of_order' end as detail,
        -amount as amount,
        refund_key as source_key
    from refunds

),

ticket_touchpoints as (

    select
        customer_key,
        opened_at as occurred_at,
        opened_date as touchpoint_date,
        'ticket_opened' as touchpoint,
        'care' as channel,
        priority as detail,
        cast(null as {{ type_money() }}) as amount,
        ticket_key as source_key
    from support_tickets

),

resolution_touchpoints as (

    select
        customer_key,
        resolved_at as occurred_at,
        resolved_date as touchpoint_date,
        'ticket_resolved' as touchpoint,
        'care' as channel,
        case
            when is_resolution_breached then 'late'
            when not is_resolution_breached then 'in_time'
            else 'no_target'
        end as detail,
        cast(null as {{ type_money() }}) as amount,
        ticket_key as source_key
    from support_tickets
    where resolved_at is not null

),

review_touchpoints as (

    select
        customer_key,
        reviewed_at as occurred_at,
        review_date as touchpoint_date,
        'review' as touchpoint,
        cast(null as {{ text }}) as channel,
        'rating ' || cast(rating as {{ text }}) as detail,
        cast(null as {{ type_money() }}) as amount,
        review_key as source_key
    from reviews

),

nps_touchpoints as (

    select
        {{ customer_key_of() }} as customer_key,
        nps_responses.responded_at as occurred_at,
        nps_responses.event_date as touchpoint_date,
        'nps_response' as touchpoint,
        cast(null as {{ text }}) as channel,
        'score ' || cast(nps_responses.score as {{ text }}) as detail,
        cast(null as {{ type_money() }}) as amount,
        nps_responses.system || ':' || nps_responses.response_id as source_key
    from nps_responses
    {{ join_customers('nps_responses') }}

),

assignment_touchpoints as (

    select
        {{ customer_key_of() }} as customer_key,
        min(campaign_assignments.assigned_at) as occurred_at,
        min(campaign_assignments.event_date) as touchpoint_date,
        'campaign_assigned' as touchpoint,
        cast(null as {{ text }}) as channel,
        min(campaign_assignments.arm) as detail,
        cast(null as {{ type_money() }}) as amount,
        campaign_assignments.system || ':' || campaign_assignments.campaign_id as source_key
    from campaign_assignments
    {{ join_customers('campaign_assignments') }}
    group by {{ customer_key_of() }}, campaign_assignments.system || ':' || campaign_assignments.campaign_id

),
{% for cte, touchpoint, column in [
    ('sent_touchpoints', 'message_sent', 'sent_at'),
    ('opened_touchpoints', 'message_opened', 'opened_at'),
    ('clicked_touchpoints', 'message_clicked', 'clicked_at'),
    ('unsubscribed_touchpoints', 'unsubscribed', 'unsubscribed_at'),
] %}
{{ cte }} as (

    select
        customer_key,
        {{ column }} as occurred_at,
        {{ business_date(column) }} as touchpoint_date,
        '{{ touchpoint }}' as touchpoint,
        channel,
        nullif(campaign_key, '') as detail,
        cast(null as {{ type_money() }}) as amount,
        campaign_key || ' ' || cast(message_number as {{ text }}) as source_key
    from messages
    where {{ column }} is not null

),
{% endfor %}
subscription_touchpoints as (

    select
        subscriptions.customer_key,
        subscription_events.occurred_at,
        {{ business_date('subscription_events.occurred_at') }} as touchpoint_date,
        'subscription' as touchpoint,
        cast(null as {{ text }}) as channel,
        subscription_events.event_type as detail,
        cast(null as {{ type_money() }}) as amount,
        subscription_events.event_key as source_key
    from subscription_events
    inner join subscriptions on subscription_events.subscription_key = subscriptions.subscription_key

),

-- a tier has a day and no instant: the day's last minute, since the order of the day that earned it came before
tier_touchpoints as (

    select
        customer_key,
        {{ business_instant('valid_from', 24 * 60 - 1) }} as occurred_at,
        valid_from as touchpoint_date,
        'tier_changed' as touchpoint,
        cast(null as {{ text }}) as channel,
        cause || ' to ' || tier as detail,
        cast(null as {{ type_money() }}) as amount,
        cast(stay_number as {{ text }}) as source_key
    from loyalty_tier_history

),

touchpoints as (
    {% for name, cte in sources.items() if name in var('journey_touchpoints') %}
    select
        *,
        {{ loop.index }} as kind_order
    from {{ cte }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

-- who was deleted or erased is followed no more; orders of nobody have no journey
known as (

    select
        touchpoints.*,
        row_number() over (
            partition by touchpoints.customer_key
            order by
                touchpoints.occurred_at asc,
                touchpoints.kind_order asc,
                touchpoints.source_key asc,
                touchpoints.channel asc nulls last
        ) as touchpoint_number,
        lag(touchpoints.touchpoint_date) over (
            partition by touchpoints.customer_key
            order by
                touchpoints.occurred_at asc,
                touchpoints.kind_order asc,
                touchpoints.source_key asc,
                touchpoints.channel asc nulls last
        ) as previous_date
    from touchpoints
    inner join identity_customers on touchpoints.customer_key = identity_customers.customer_key
    where touchpoints.touchpoint_date <= {{ as_of_date() }}

),

final as (

    select
        cast(customer_key as {{ text }}) as customer_key,
        cast(touchpoint_number as bigint) as touchpoint_number,
        cast(occurred_at as timestamp) as occurred_at,
        cast(touchpoint_date as date) as touchpoint_date,
        cast(touchpoint as {{ text }}) as touchpoint,
        cast(channel as {{ text }}) as channel,
        cast(detail as {{ text }}) as detail,
        cast(amount as {{ type_money() }}) as amount,
        cast({{ days_between('previous_date', 'touchpoint_date') }} as integer) as days_since_previous
    from known

)

select * from final
