{{ config(
    materialized='touched', unique_key="coalesce(subscription_id, '')",
    meta={'touched_by': 'int_changes__event_subscription_ids', 'decided_by': 'int_changes__subscription_front'}
) }}

-- depends_on: {{ ref('int_changes__event_inputs') }}
{{ canonical('subscription_events') }}
