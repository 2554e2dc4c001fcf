{#- Everything additive comes added up from the cells; here only cuts, running sums and quotients. -#}
{%- set measures = rate_measures() -%}
{%- set changes = ['retention_rate', 'repeat_share', 'purchase_frequency', 'aov'] -%}
{%- set growths = ['customers_end', 'net_revenue'] -%}
with cells as (

    select * from {{ ref('int_rates__cells') }}

),

gaps as (

    select * from {{ ref('int_rates__gaps') }}

),

spells as (

    select * from {{ ref('int_rates__spells') }}

),

periods as (

    select * from {{ rate_periods() }} as periods

),

bounds as (

    select {{ month_start('min(buyer_since)') }} as first_month
    from spells

),

cut_cells as (

    select
        'all' as cut,
        'all' as cut_value,
        period_type,
        period_index,
    {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }}{{ ',' if not loop.last }} -- noqa: LT02

    {%- endfor %}
    from cells
    group by period_type, period_index
    {%- for cut in rate_cuts() %}

        union all

        select
            '{{ cut }}' as cut,
            {{ cut }} as cut_value,
            period_type,
            period_index,
        {%- for measure in measures %}
            sum({{ measure }}) as {{ measure }}{{ ',' if not loop.last }} -- noqa: LT02

        {%- endfor %}
        from cells
        group by {{ cut }}, period_type, period_index
    {%- endfor %}

),

-- each value of a cut from its first buyer to as-of: a period without activity is a row of zeros, and not missing
spans as (

    select
        cut_cells.cut,
        cut_cells.cut_value,
        periods.period_type,
        periods.months,
        min(cut_cells.period_index) as first_period,
        {{ integer_divide(month_index(as_of_date()), 'periods.months') }} as last_period
    from cut_cells
    inner join periods on cut_cells.period_type = periods.period_type
    group by cut_cells.cut, cut_cells.cut_value, periods.period_type, periods.months

),

series as (

    select series.number
    from {{ number_series("(select max(last_period - first_period) from spans)") }} as series

),

grid as (

    select
        spans.cut,
        spans.cut_value,
        spans.period_type,
        spans.months,
        spans.first_period + series.number as period_index,
        case
            when spans.period_type = 'overall' then bounds.first_month
            else {{ month_of_index('(spans.first_period + series.number) * spans.months') }}
        end as period_start
    from spans
    inner join series on series.number <= spans.last_period - spans.first_period
    cross join bounds

),

dated as (

    select
        *,
        case
            when period_type = 'overall' then {{ as_of_date() }}
            else {{ add_days(add_months('period_start', 'months'), -1) }}
        end as period_end,
        -- the last month that the period has wholly behind it; overall it is the last one that is over
        case
            when period_type = 'overall' then {{ month_index(add_days(as_of_date(), 1)) }} - 1
            else (period_index + 1) * months - 1
        end as closing_month
    from grid

),

counted as (

    select
        dated.*,
        dated.period_end <= {{ as_of_date() }} as is_complete,
    {%- for measure in measures %}
        coalesce(cut_cells.{{ measure }}, 0) as {{ measure }}{{ ',' if not loop.last }} -- noqa: LT02

    {%- endfor %}
    from dated
    left join cut_cells
        on
            dated.cut = cut_cells.cut
            and dated.cut_value = cut_cells.cut_value
            and dated.period_type = cut_cells.period_type
            and dated.period_index = cut_cells.period_index

),

populations as (

    select
        *,
        sum(new_customers + won_back - lost) over (
            partition by cut, cut_value, period_type
            order by period_index asc rows between unbounded preceding and current row
        ) as customers_end,
        sum(trailing_buyers) over (
            partition by cut, cut_value, period_type
            order by period_index asc rows between unbounded preceding and current row
        ) as clv_customers,
        sum(trailing_retained) over (
            partition by cut, cut_value, period_type
            order by period_index asc rows between unbounded preceding and current row
        ) as retained_for_a_year,
        {%- for measure, name in [
            ('orders', 'clv_orders'), ('net_revenue', 'clv_net_revenue'),
            ('lapses', 'clv_lapses'), ('lapse_days', 'clv_lapse_days'),
        ] %}
        sum({{ measure }}) over (
            partition by cut, cut_value, period_type
            order by period_index asc rows between 11 preceding and current row
            ) as {{ name }}{{ ',' if not loop.last }} -- noqa: LT02

    {%- endfor %}
    from counted

),

starts as (

    select
        *,
        coalesce(lag(customers_end) over (
            partition by cut, cut_value, period_type order by period_index asc
        ), 0) as customers_start,
        -- null with less than a year of history
        lag(customers_end, 12) over (
            partition by cut, cut_value, period_type order by period_index asc
        ) as customers_a_year_ago,
        -- who bought in this period can have bought again only in one that is over
        lead(is_complete) over (
            partition by cut, cut_value, period_type order by period_index asc
        ) as is_next_complete
    from populations

),

trailing_years as (

    select
        cut,
        cut_value,
        period_index as closing_month,
        clv_customers,
        clv_orders,
        clv_net_revenue,
        customers_a_year_ago as clv_customers_start,
        clv_lapses,
        clv_lapse_days,
        customers_a_year_ago - retained_for_a_year as clv_lost,
        {%- if var('clv_lifespan') == 'observed' %}
        {{ ratio('clv_lapse_days', '365.25 * clv_lapses') }} as clv_lifespan_years
        {%- else %}
            {{ ratio('customers_a_year_ago', 'customers_a_year_ago - retained_for_a_year') }} as clv_lifespan_years
        {%- endif %}
    from starts
    where period_type = 'month' and customers_a_year_ago > 0

),

measured as (

    select
        starts.*,
        gaps.median_gap,
        gaps.p75_gap,
        gaps.p90_gap,
        trailing_years.clv_customers as year_customers,
        trailing_years.clv_orders as year_orders,
        trailing_years.clv_net_revenue as year_net_revenue,
        trailing_years.clv_customers_start as year_customers_start,
        trailing_years.clv_lost as year_lost,
        trailing_years.clv_lapses as year_lapses,
        trailing_years.clv_lapse_days as year_lapse_days,
        trailing_years.clv_lifespan_years,
        starts.customers_end - starts.new_customers - starts.won_back as retained,
        starts.buying_customers - starts.repeat_customers as single_order_customers,
        coalesce(gaps.gaps, 0) as gaps,
        coalesce(gaps.gap_days, 0) as gap_days
    from starts
    left join gaps
        on
            starts.cut = gaps.cut
            and starts.cut_value = gaps.cut_value
            and starts.period_type = gaps.period_type
            and starts.period_index = gaps.period_index
    left join trailing_years
        on
            starts.cut = trailing_years.cut
            and starts.cut_value = trailing_years.cut_value
            and starts.closing_month = trailing_years.closing_month
            and starts.is_complete

),

-- of an unfinished period every quotient is null; what is additive is to date
rated as (

    select
        *,
        case when is_complete then {{ ratio('retained', 'customers_start') }} end as retention_rate,
        case
            when is_complete then {{ ratio('customers_end - new_customers', 'customers_start') }}
        end as retention_rate_incl_winbacks,
        case when is_complete then {{ ratio('lost', 'customers_start') }} end as churn_rate,
        case
            when is_complete and is_next_complete then {{ ratio('bought_again_next_period', 'buying_customers') }}
        end as repurchase_rate_next_period,
        case when is_complete then {{ ratio('repeat_customers', 'buying_customers') }} end as repeat_share,
        case when is_complete then {{ ratio('repeat_customers', 'single_order_customers') }} end as repeat_ratio,
        {%- for days in [30, 60, 90, 180] %}
            case
                when is_complete then {{ ratio('second_order_' ~ days ~ 'd', 'followed_' ~ days ~ 'd') }}
            end as second_order_rate_{{ days }}d,
        {%- endfor %}
        case when is_complete then {{ ratio('orders', 'buying_customers') }} end as purchase_frequency,
        case when is_complete then {{ ratio('net_revenue', 'orders') }} end as aov,
        case when is_complete then {{ ratio('gap_days', 'gaps') }} end as mean_days_between_orders,
        case when is_complete then median_gap end as median_days_between_orders,
        case when is_complete then p75_gap end as p75_days_between_orders,
        case when is_complete then p90_gap end as p90_days_between_orders,
        {{ ratio('year_net_revenue', 'year_orders') }}
        * {{ ratio('year_orders', 'year_customers') }}
        * clv_lifespan_years as simple_clv
    from measured

),

-- rows of a cut value stand without holes, so the row that many periods before is that period
compared as (

    select
        *,
    {%- for name in changes + growths + ['simple_clv'] %}
        lag({{ name }}) over (
            partition by cut, cut_value, period_type order by period_index asc
            ) as {{ name }}_previous,
        case period_type
            when 'month'
                then lag({{ name }}, 12) over (
                    partition by cut, cut_value, period_type order by period_index asc
                    )
            when 'quarter'
                then lag({{ name }}, 4) over (
                    partition by cut, cut_value, period_type order by period_index asc
                    )
            when 'year' then lag({{ name }}, 1) over (
                partition by cut, cut_value, period_type order by period_index asc
                )
        end as {{ name }}_last_year{{ ',' if not loop.last }} -- noqa: LT02

    {%- endfor %}
    from rated

),

final as (

    select
        cast(period_type as {{ type_string() }}) as period_type,
        cast(period_start as date) as period_start,
        cast(period_end as date) as period_end,
        cast(cut as {{ type_string() }}) as cut,
        cast(cut_value as {{ type_string() }}) as cut_value,
        -- who stays, who goes
        cast(customers_start as bigint) as customers_start,
        cast(customers_end as bigint) as customers_end,
        cast(became_buyers as bigint) as became_buyers,
        cast(new_customers as bigint) as new_customers,
        cast(won_back as bigint) as won_back,
        cast(lost as bigint) as lost,
        cast(retained as bigint) as retained,
        cast(retention_rate as {{ type_double() }}) as retention_rate,
        cast(retention_rate_incl_winbacks as {{ type_double() }}) as retention_rate_incl_winbacks,
        cast(churn_rate as {{ type_double() }}) as churn_rate,
        -- who comes back
        cast(buying_customers as bigint) as buying_customers,
        cast(bought_again_next_period as bigint) as bought_again_next_period,
        cast(repurchase_rate_next_period as {{ type_double() }}) as repurchase_rate_next_period,
        cast(repeat_customers as bigint) as repeat_customers,
        cast(single_order_customers as bigint) as single_order_customers,
        cast(repeat_share as {{ type_double() }}) as repeat_share,
        cast(repeat_ratio as {{ type_double() }}) as repeat_ratio,
        cast(first_order_customers as bigint) as first_order_customers,
        {%- for days in [30, 60, 90, 180] %}
            cast(followed_{{ days }}d as bigint) as followed_{{ days }}d,
            cast(second_order_{{ days }}d as bigint) as second_order_{{ days }}d,
            cast(second_order_rate_{{ days }}d as {{ type_double() }}) as second_order_rate_{{ days }}d,
        {%- endfor %}
        -- how often, how much
        cast(orders as bigint) as orders,
        cast(order_days as bigint) as order_days,
        cast(purchase_frequency as {{ type_double() }}) as purchase_frequency,
        cast(net_revenue as {{ type_money() }}) as net_revenue,
        cast(aov as {{ type_double() }}) as aov,
        cast(gaps as bigint) as gaps,
        cast(gap_days as bigint) as gap_days,
        cast(mean_days_between_orders as {{ type_double() }}) as mean_days_between_orders,
        cast(median_days_between_orders as {{ type_double() }}) as median_days_between_orders,
        cast(p75_days_between_orders as {{ type_double() }}) as p75_days_between_orders,
        cast(p90_days_between_orders as {{ type_double() }}) as p90_days_between_orders,
        -- what a customer is worth, simply
        cast(year_net_revenue as {{ type_money() }}) as clv_net_revenue,
        cast(year_orders as bigint) as clv_orders,
        cast(year_customers as bigint) as clv_customers,
        cast(year_customers_start as bigint) as clv_customers_start,
        cast(year_lost as bigint) as clv_lost,
        cast(year_lapses as bigint) as clv_lapses,
        cast(year_lapse_days as bigint) as clv_lapse_days,
        cast(clv_lifespan_years as {{ type_double() }}) as clv_lifespan_years,
        cast(simple_clv as {{ type_double() }}) as simple_clv,
        -- trend
        {%- for name in changes + ['simple_clv'] %}
            {%- for before in ['previous', 'last_year'] %}
                cast({{ name }} - {{ name }}_{{ before }} as {{ type_double() }}) as {{ name }}_change_{{ before }},
            {%- endfor %}
        {%- endfor %}
        {%- for name in growths %}
            {%- for before in ['previous', 'last_year'] %}
                case
                    when is_complete then {{ ratio(name ~ ' - ' ~ name ~ '_' ~ before, name ~ '_' ~ before) }}
                end as {{ name }}_change_{{ before }},
            {%- endfor %}
        {%- endfor %}
        cast(is_complete as boolean) as is_complete
    from compared

)

select * from final
