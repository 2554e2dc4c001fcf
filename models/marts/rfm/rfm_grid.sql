{%- set pairs = [
    ('recency', 'frequency', 'r_score', 'f_score'),
    ('recency', 'monetary', 'r_score', 'm_score'),
    ('frequency', 'monetary', 'f_score', 'm_score'),
] -%}

with customer_rfm as (

    select * from {{ ref('customer_rfm') }}

),

-- at most 125 rows, so that the three views cost one pass over the customers
cubes as (

    select
        r_score,
        f_score,
        m_score,
        count(*) as customers,
        cast(sum(net_revenue) as {{ type_money() }}) as net_revenue
    from customer_rfm
    group by r_score, f_score, m_score

),

scores as (

    select number + 1 as score from {{ number_series(4) }} as series

),

pairs as (
    {% for metric_x, metric_y, score_x, score_y in pairs %}
    select
        '{{ metric_x }}' as metric_x,
        '{{ metric_y }}' as metric_y
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

every_cell as (

    select
        pairs.metric_x,
        pairs.metric_y,
        scores_x.score as score_x,
        scores_y.score as score_y
    from pairs
    cross join scores as scores_x
    cross join scores as scores_y

),

filled_cells as (
    {% for metric_x, metric_y, score_x, score_y in pairs %}
    select
        '{{ metric_x }}' as metric_x,
        '{{ metric_y }}' as metric_y,
        {{ score_x }} as score_x,
        {{ score_y }} as score_y,
        sum(customers) as customers,
        sum(net_revenue) as net_revenue
    from cubes
    group by {{ score_x }}, {{ score_y }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

everyone as (

    select sum(customers) as customers from cubes

),

final as (

    select
        cast(every_cell.metric_x as {{ type_string() }}) as metric_x,
        cast(every_cell.metric_y as {{ type_string() }}) as metric_y,
        cast(every_cell.score_x as integer) as score_x,
        cast(every_cell.score_y as integer) as score_y,
        cast(coalesce(filled_cells.customers, 0) as bigint) as customers,
        cast(coalesce(filled_cells.net_revenue, 0) as {{ type_money() }}) as net_revenue,
        cast(coalesce(everyone.customers, 0) as bigint) as all_customers,
        {{ ratio('coalesce(filled_cells.customers, 0)', 'everyone.customers') }} as share_of_customers
    from every_cell
    cross join everyone
    left join filled_cells
        on
            every_cell.metric_x = filled_cells.metric_x
            and every_cell.metric_y = filled_cells.metric_y
            and every_cell.score_x = filled_cells.score_x
            and every_cell.score_y = filled_cells.score_y

)

select * from final
