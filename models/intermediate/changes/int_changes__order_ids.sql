-- Touched orders, 2. in macros/incremental/front.sql.
with front as ( -- noqa: ST03

    select * from {{ ref('int_changes__front') }}

),

{{ changed_rows_of('orders') }},

touched as (

    select order_id from changed_rows
    {{ and_interrupted('int_changes__order_ids') }}

),

{{ distinct_keys('touched') }}
