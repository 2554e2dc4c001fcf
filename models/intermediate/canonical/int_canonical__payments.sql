{{ config(
    materialized='touched', unique_key="coalesce(order_id, '')", meta={'touched_by': 'int_changes__payment_order_ids'}
) }}

-- depends_on: {{ ref('int_changes__payment_inputs') }}
{{ canonical('payments') }}
