-- Do the groups of a curve differ, and by how much? The arithmetic is the Python step's (a matrix and a chi-square).
with comparisons as (

    select * from {{ source('survival', 'comparisons') }}

),

final as (

    select
        cast(curve as {{ type_string() }}) as curve,
        cast(cut_value as {{ type_string() }}) as cut_value,
        cast(subjects as bigint) as subjects,
        cast(events as bigint) as events,
        cast(expected_events as {{ type_double() }}) as expected_events,
        cast(chi2 as {{ type_double() }}) as log_rank_chi2,
        cast(df as integer) as log_rank_df,
        cast(p_value as {{ type_double() }}) as p_value,
        cast(horizon_days as integer) as horizon_days,
        cast(restricted_mean_days as {{ type_double() }}) as restricted_mean_days,
        cast(restricted_mean_std_error as {{ type_double() }}) as std_error,
        cast(case
            when restricted_mean_days is not null
                then greatest(restricted_mean_days - 1.959963984540054 * restricted_mean_std_error, 0)
        end as {{ type_double() }}) as ci_low,
        cast(case
            when restricted_mean_days is not null
                then least(restricted_mean_days + 1.959963984540054 * restricted_mean_std_error, horizon_days)
        end as {{ type_double() }}) as ci_high
    from comparisons

)

select * from final
