-- How this run builds the front, and why (macros/incremental/front.sql). Written before any of its tables is touched.
with chunks as (

    select * from {{ ref('int_changes__chunks') }}

),

before as (

    select * from {{ ref('int_changes__before') }}

),

{{ sizes_of_chunks() }},

judged as (

    select
        before.*,
        sums.row_count,
        sums.changed_rows,
        case
            {{ reasons_for_full('before.is_full_front_interrupted') }}
        end as general_reason,
        case
            when {{ not follows_landed() }} then 'at this engine the front is always built in full'
            when {{ not front_stands() }} then 'a table of the front is missing'
            {{ reasons_of_landed() }}
        end as own_reason
    from before
    cross join sums

),

reasoned as (

    select
        *,
        coalesce(general_reason, own_reason) as reason
    from judged

),

final as (

    select
        {{ decision_columns() }},
        {{ window_columns() }},
        cast(general_reason as {{ type_string() }}) as general_reason
    from reasoned

)

select * from final
