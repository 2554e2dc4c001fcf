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

    select
        'recency' as metric_x,
        'frequency' as metric_y

    union all

    select
        'recency' as metric_x,
        'monetary' as metric_y

    union all

    select
        'frequency' as metric_x,
        'monetary' as metric_y

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

    select
        cubes.customers,
        cubes.net_revenue,
        pairs.metric_x,
        pairs.metric_y,
        case when pairs.metric_x = 'recency' then cubes.r_score else cubes.f_score end as score_x,
        case when pairs.metric_y = 'frequency' then cubes.f_score else cubes.m_score end as score_y
    from cubes
    cross join pairs

),

summed_cells as (

    select
        metric_x,
        metric_y,
        score_x,
        score_y,
        sum(customers) as customers,
        sum(net_revenue) as net_revenue
    from filled_cells
    group by metric_x, metric_y, score_x, score_y

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
        cast(coalesce(summed_cells.customers, 0) as bigint) as customers,
        cast(coalesce(summed_cells.net_revenue, 0) as {{ type_money() }}) as net_revenue,
        cast(coalesce(everyone.customers, 0) as bigint) as all_customers,
        {{ ratio('coalesce(summed_cells.customers, 0)', 'everyone.customers') }} as share_of_customers
    from every_cell
    cross join everyone
    left join summed_cells
        on
            every_cell.metric_x = summed_cells.metric_x
            and every_cell.metric_y = summed_cells.metric_y
            and every_cell.score_x = summed_cells.score_x
            and every_cell.score_y = summed_cells.score_y

)

select * from final
