{{ config(materialized='view') }}

{{ line_totals(ref('int_orders__items')) }}
