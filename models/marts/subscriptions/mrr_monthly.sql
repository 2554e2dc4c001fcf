{%- set flows = [
    'new_mrr', 'expansion_mrr', 'contraction_mrr', 'churn_mrr', 'reactivation_mrr', 'pause_mrr', 'resume_mrr',
    'paused_in', 'resumed', 'paused_churn', 'paused_change',
] -%}
-- sqlfluff:indentation:template_blocks_indent:false
with account_days as (

    select * from {{ ref('int_subscriptions__account_days') }}

),

months as (

    select series.series_date as month_start_date
    from {{ date_series(
        month_start('(select min(change_date) from ' ~ ref('int_subscriptions__account_days') ~ ')'),
        month_start(as_of_date()),
        'month'
    ) }} as series

),

monthly_flows as (

    select
        change_month,
        {%- for flow in flows[:-1] %}
        sum({{ flow }}) as {{ flow }},
        {%- endfor %}
        sum(paused_change) as paused_change
    from account_days
    group by change_month

),

-- an account's balance from the day it changed until the day before the next change
balances as (

    select
        account_key,
        change_date as held_from,
        closing_mrr as mrr,
        paused_closing as paused_mrr,
        lead(change_date) over (partition by account_key order by change_date) as held_until
    from account_days

),

-- what every account had at the close before a month began, and at the month's (or as-of's) close
openings as (

    select
        months.month_start_date,
        balances.account_key,
        balances.mrr as opening,
        balances.paused_mrr as paused_opening
    from months
    inner join balances
        on
            months.month_start_date > balances.held_from
            and (balances.held_until is null or months.month_start_date <= balances.held_until)
    where balances.mrr > 0 or balances.paused_mrr > 0

),

closings as (

    select
        months.month_start_date,
        balances.account_key,
        balances.mrr as closing,
        balances.paused_mrr as paused_closing
    from months
    inner join balances
        on
            balances.held_from <= {{ month_end('months.month_start_date') }}
            and (balances.held_until is null or balances.held_until > {{ month_end('months.month_start_date') }})
    where balances.mrr > 0 or balances.paused_mrr > 0

),

paying as (

    select
        openings.month_start_date,
        openings.opening,
        coalesce(closings.closing, 0) as closing,
        coalesce(closings.paused_closing, 0) as paused_closing
    from openings
    left join closings
        on openings.month_start_date = closings.month_start_date and openings.account_key = closings.account_key
    where openings.opening > 0

),

retained as (

    select
        month_start_date,
        count(*) as customers_opening,
        sum(case when closing = 0 then 1 else 0 end) as customers_lost,
        sum(case when closing = 0 and paused_closing = 0 then 1 else 0 end) as customers_lost_ex_pause,
        sum(closing) as kept,
        sum(least(closing, opening)) as kept_at_most,
        sum(closing + paused_closing) as kept_ex_pause,
        sum(least(closing + paused_closing, opening)) as kept_at_most_ex_pause
    from paying
    group by month_start_date

),

opening_sums as (

    select
        month_start_date,
        sum(opening) as opening,
        sum(paused_opening) as paused_opening
    from openings
    group by month_start_date

),

closing_sums as (

    select
        month_start_date,
        sum(closing) as closing,
        sum(paused_closing) as paused_closing,
        sum(case when closing > 0 then 1 else 0 end) as customers_closing
    from closings
    group by month_start_date

),

joined as (

    select
        months.month_start_date,
        {{ month_end('months.month_start_date') }} <= {{ as_of_date() }} as is_complete,
        coalesce(opening_sums.opening, 0) as opening,
        coalesce(opening_sums.paused_opening, 0) as paused_opening,
        coalesce(closing_sums.closing, 0) as closing,
        coalesce(closing_sums.paused_closing, 0) as paused_closing,
        coalesce(closing_sums.customers_closing, 0) as customers_closing,
        {%- for flow in flows %}
        coalesce(monthly_flows.{{ flow }}, 0) as {{ flow }},
        {%- endfor %}
        coalesce(retained.customers_opening, 0) as customers_opening,
        coalesce(retained.customers_lost, 0) as customers_lost,
        coalesce(retained.customers_lost_ex_pause, 0) as customers_lost_ex_pause,
        coalesce(retained.kept, 0) as kept,
        coalesce(retained.kept_at_most, 0) as kept_at_most,
        coalesce(retained.kept_ex_pause, 0) as kept_ex_pause,
        coalesce(retained.kept_at_most_ex_pause, 0) as kept_at_most_ex_pause
    from months
    left join opening_sums on months.month_start_date = opening_sums.month_start_date
    left join closing_sums on months.month_start_date = closing_sums.month_start_date
    left join monthly_flows on months.month_start_date = monthly_flows.change_month
    left join retained on months.month_start_date = retained.month_start_date

),

final as (

    select
        cast(month_start_date as date) as {{ adapter.quote('month') }},
        cast(opening as {{ type_money() }}) as opening,
        cast(new_mrr as {{ type_money() }}) as {{ adapter.quote('new') }},
        cast(expansion_mrr as {{ type_money() }}) as expansion,
        cast(contraction_mrr as {{ type_money() }}) as contraction,
        cast(churn_mrr as {{ type_money() }}) as churn,
        cast(reactivation_mrr as {{ type_money() }}) as reactivation,
        cast(pause_mrr as {{ type_money() }}) as pause,
        cast(resume_mrr as {{ type_money() }}) as resume,
        cast(closing as {{ type_money() }}) as closing,
        cast(paused_opening as {{ type_money() }}) as paused_opening,
        cast(paused_in as {{ type_money() }}) as paused_in,
        cast(resumed as {{ type_money() }}) as resumed,
        cast(paused_churn as {{ type_money() }}) as paused_churn,
        cast(paused_change as {{ type_money() }}) as paused_change,
        cast(paused_closing as {{ type_money() }}) as paused_closing,
        cast(customers_opening as bigint) as customers_opening,
        cast(customers_closing as bigint) as customers_closing,
        cast(customers_lost as bigint) as customers_lost,
        cast(customers_lost_ex_pause as bigint) as customers_lost_ex_pause,
        cast(kept as {{ type_money() }}) as kept,
        cast(kept_at_most as {{ type_money() }}) as kept_at_most,
        cast(kept_ex_pause as {{ type_money() }}) as kept_ex_pause,
        cast(kept_at_most_ex_pause as {{ type_money() }}) as kept_at_most_ex_pause,
        case when is_complete then {{ ratio('kept', 'opening') }} end as nrr,
        case when is_complete then {{ ratio('kept_at_most', 'opening') }} end as grr,
        case when is_complete then {{ ratio('kept_ex_pause', 'opening') }} end as nrr_ex_pause,
        case when is_complete then {{ ratio('kept_at_most_ex_pause', 'opening') }} end as grr_ex_pause,
        case when is_complete then {{ ratio('customers_lost', 'customers_opening') }} end as logo_churn,
        case
            when is_complete then {{ ratio('customers_lost_ex_pause', 'customers_opening') }}
        end as logo_churn_ex_pause,
        case
            when is_complete
                then {{ ratio('new_mrr + reactivation_mrr + expansion_mrr', '-(churn_mrr + contraction_mrr)') }}
        end as quick_ratio,
        case when is_complete then {{ ratio('paused_closing', 'closing + paused_closing') }} end as paused_share,
        cast(is_complete as boolean) as is_complete
    from joined

)

select * from final
