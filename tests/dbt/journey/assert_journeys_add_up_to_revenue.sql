-- Σ amount of a journey = the customer's net revenue, and its steps are numbered without holes.
{{ config(meta={'dagster': {'ref': {'name': 'customer_journey'}}}) }}
{%- set complete = 'order' in var('journey_touchpoints') and 'refund' in var('journey_touchpoints') %}
with journeys as (

    select
        customer_key,
        count(*) as touchpoints,
        max(touchpoint_number) as last_number,
        coalesce(sum(amount), 0) as amount
    from {{ ref('customer_journey') }}
    group by customer_key

),

order_totals as (

    select * from {{ ref('int_customers__order_totals') }}

)

select
    journeys.customer_key,
    order_totals.net_revenue,
    journeys.amount
from journeys
left join order_totals on journeys.customer_key = order_totals.customer_key
where
    {% if complete %}journeys.amount != coalesce(order_totals.net_revenue, 0) or{% endif %}
    journeys.last_number != journeys.touchpoints
