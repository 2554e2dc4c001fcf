-- Equal values have equal scores, better values never worse ones, and somebody is the worst.
with customer_rfm as (

    select * from {{ ref('customer_rfm') }}

),

bounds as (

    select
        'recency' as metric,
        -recency_days as metric_value,
        min(r_score) as lowest,
        max(r_score) as highest
    from customer_rfm
    group by recency_days
    union all
    select
        'frequency' as metric,
        frequency as metric_value,
        min(f_score) as lowest,
        max(f_score) as highest
    from customer_rfm
    group by frequency
    union all
    select
        'monetary' as metric,
        monetary as metric_value,
        min(m_score) as lowest,
        max(m_score) as highest
    from customer_rfm
    group by monetary

),

in_order as (

    select
        metric,
        metric_value,
        lowest,
        highest,
        lag(highest, 1, 1) over (
            partition by metric
            order by metric_value asc
        ) as score_before
    from bounds

)

select *
from in_order
where
    lowest <> highest
    or lowest < score_before
