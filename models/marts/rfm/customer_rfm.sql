{%- if var('rfm_monetary') not in ('total', 'average') -%}
    {{ exceptions.raise_compiler_error("rfm_monetary is 'total' or 'average', not '" ~ var('rfm_monetary') ~ "'") }}
{%- endif -%}
{%- set monetary = average_money('net_revenue', 'orders') if var('rfm_monetary') == 'average' else 'net_revenue' -%}

with order_totals as (

    select * from {{ ref('int_customers__order_totals') }}

),

segments_25 as (

    select * from {{ ref('rfm_segments_25') }}

),

segments_125 as (

    select * from {{ ref('rfm_segments_125') }}

),

buyers as (

    select
        customer_key,
        orders as frequency,
        net_revenue,
        {{ monetary }} as monetary,
        {{ days_between('last_order_date', as_of_date()) }} as recency_days
    from order_totals
    where orders > 0

),

recency_scores as (
    {{ tie_safe_scores('buyers', 'recency_days', worst='highest') }}
),

frequency_scores as (
    {{ tie_safe_scores('buyers', 'frequency', worst='lowest') }}
),

monetary_scores as (
    {{ tie_safe_scores('buyers', 'monetary', worst='lowest') }}
),

scored as (

    select
        buyers.customer_key,
        buyers.recency_days,
        buyers.frequency,
        buyers.monetary,
        buyers.net_revenue,
        recency_scores.score as r_score,
        frequency_scores.score as f_score,
        monetary_scores.score as m_score
    from buyers
    inner join recency_scores on buyers.recency_days = recency_scores.recency_days
    inner join frequency_scores on buyers.frequency = frequency_scores.frequency
    inner join monetary_scores on buyers.monetary = monetary_scores.monetary

),

final as (

    select
        cast(scored.customer_key as {{ type_string() }}) as customer_key,
        cast(scored.recency_days as integer) as recency_days,
        cast(scored.frequency as bigint) as frequency,
        cast(scored.monetary as {{ type_money() }}) as monetary,
        cast(scored.net_revenue as {{ type_money() }}) as net_revenue,
        cast(scored.r_score as integer) as r_score,
        cast(scored.f_score as integer) as f_score,
        cast(scored.m_score as integer) as m_score,
        cast(segments_25.rfm_segment as {{ type_string() }}) as rfm_segment,
        cast(segments_125.rfm_segment_125 as {{ type_string() }}) as rfm_segment_125,
        -- nobody shall take the segment for the lifecycle state of the same name
        cast('RFM: ' || replace(segments_25.rfm_segment, '_', ' ') as {{ type_string() }}) as rfm_segment_label
    from scored
    -- left: a cell missing from the map is a null that a test reports, not a customer lost
    left join segments_25
        on
            scored.r_score = segments_25.r_score
            and scored.f_score = segments_25.f_score
    left join segments_125
        on
            scored.r_score = segments_125.r_score
            and scored.f_score = segments_125.f_score
            and scored.m_score = segments_125.m_score

)

select * from final
