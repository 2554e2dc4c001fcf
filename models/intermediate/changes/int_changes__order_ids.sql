-- Touched orders, 2. in macros/incremental/front.sql.
with front as ( -- noqa: ST03

    select * from {{ ref('int_changes__front') }}

),

{{ changed_rows_of('orders') }},

touched as (

    select order_id from changed_rows
    {{ and_previous(
        'int_changes__order_ids',
        "select order_id from {previous}"
        ~ " where (select front.is_interrupted and front.mode = 'incremental' from front)"
    ) }}

),

final as (

    select distinct cast(order_id as {{ type_string() }}) as order_id
    from touched

)

select * from final
