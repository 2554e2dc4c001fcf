{#- Kaplan–Meier: S(t) = Π (1 − d / n), as a sum of logarithms, since SQL has no product. Where everyone at risk has the
    event there is no logarithm: S is 0, nobody is left for a later row, and the band is undefined. -#}
with durations as (

    select * from {{ ref('int_survival__durations') }}

),

-- a row at day 0, so that a curve begins at 1 and "the last row up to day t" always exists
times as (

    select
        curve,
        cut_value,
        t_days,
        sum(case when is_event then 1 else 0 end) as events,
        sum(case when is_event then 0 else 1 end) as censored
    from durations
    group by curve, cut_value, t_days

    union all

    select
        curve,
        cut_value,
        0 as t_days,
        0 as events,
        0 as censored
    from durations
    group by curve, cut_value

),

counted as (

    select
        curve,
        cut_value,
        t_days,
        sum(events) as events,
        sum(censored) as censored
    from times
    group by curve, cut_value, t_days

),

watched as (

    select
        curve,
        cut_value,
        t_days,
        events,
        censored,
        sum(events + censored) over (
            partition by curve, cut_value order by t_days asc rows between current row and unbounded following
        ) as at_risk
    from counted

),

summed as (

    select
        *,
        sum(case when events < at_risk then ln({{ ratio('at_risk - events', 'at_risk') }}) else 0 end) over (
            partition by curve, cut_value order by t_days asc rows between unbounded preceding and current row
        ) as log_survival,
        sum(case when events < at_risk then {{ ratio('events', 'at_risk') }} / (at_risk - events) else 0 end) over (
            partition by curve, cut_value order by t_days asc rows between unbounded preceding and current row
        ) as greenwood_sum
    from watched

),

estimated as (

    select
        *,
        case when events = at_risk then 0 else exp(log_survival) end as survival,
        case when events < at_risk then exp(log_survival) * sqrt(greenwood_sum) end as std_error
    from summed

),

final as (

    select
        cast(curve as {{ type_string() }}) as curve,
        cast(cut_value as {{ type_string() }}) as cut_value,
        cast(t_days as integer) as t_days,
        cast(at_risk as bigint) as at_risk,
        cast(events as bigint) as events,
        cast(censored as bigint) as censored,
        cast(survival as {{ type_double() }}) as survival,
        cast(std_error as {{ type_double() }}) as std_error,
        -- greatest() and least() pass over nulls, so a missing error must be said
        cast(
            case when std_error is not null then greatest(survival - 1.959963984540054 * std_error, 0) end
            as {{ type_double() }}
        ) as ci_low,
        cast(
            case when std_error is not null then least(survival + 1.959963984540054 * std_error, 1) end
            as {{ type_double() }}
        ) as ci_high,
        -- exactly one half must count as reached, though logarithms leave a last digit
        cast(
            min(case when survival <= 0.5 + 1e-9 then t_days end) over (partition by curve, cut_value) as integer
        ) as median_days
    from estimated

)

select * from final
