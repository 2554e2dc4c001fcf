-- Who is a member now is who has a stay without an end, since the same day and for the same reason.
{{ config(meta={'dagster': {'ref': {'name': 'segment_membership'}}}) }}
with members as (

    select
        segment,
        customer_key,
        entered_on,
        enter_reason
    from {{ ref('segment_membership') }}

),

stays as (

    select
        segment,
        customer_key,
        entered_on,
        enter_reason
    from {{ ref('segment_history') }}
    where left_on is null

)

select
    members.entered_on as member_since,
    stays.entered_on as stays_since,
    coalesce(members.segment, stays.segment) as segment,
    coalesce(members.customer_key, stays.customer_key) as customer_key
from members
full outer join stays
    on
        members.segment = stays.segment
        and members.customer_key = stays.customer_key
        and members.entered_on = stays.entered_on
        and members.enter_reason = stays.enter_reason
where members.customer_key is null or stays.customer_key is null
