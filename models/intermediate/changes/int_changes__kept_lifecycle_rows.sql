-- What customers' lifecycles now stand for, beside order days and thresholds.
{{ after_the_lifecycle() }}
with lifecycle_rows as (

    select * from {{ ref('int_changes__lifecycle_rows') }}

),

final as (

    select
        customer_key,
        row_hashes
    from lifecycle_rows

)

select * from final
