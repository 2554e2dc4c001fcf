{#- Two questions a month: what became of the invitations sent in it, and how those who came through one and first
    bought in it compare with the others who first bought in it. -#}
-- sqlfluff:indentation:template_blocks_indent:false
with referrals as (

    select * from {{ ref('referrals') }}

),

newcomers as (

    select * from {{ ref('int_referrals__newcomers') }}

),

retention_rates as (

    select * from {{ ref('retention_rates') }}
    where period_type = 'month' and cut = 'all'

),

bounds as (

    select {{ month_start('min(invited_date)') }} as first_month
    from referrals

),

months as (

    select
        months.series_date as month_start,
        {{ month_end('months.series_date') }} as month_end
    from bounds
    cross join {{ date_series("(select first_month from bounds)", as_of_date(), 'month') }} as months
    where bounds.first_month is not null

),

invited as (

    select
        {{ month_start('invited_date') }} as month_start,
        count(*) as all_invites,
        sum(case when status != 'excluded' then 1 else 0 end) as invites,
        sum(case when reason = 'self_referral' then 1 else 0 end) as self_referrals,
        sum(case when reason in ('existing_customer', 'registered_before') then 1 else 0 end) as existing_customers,
        sum(case when reason = 'duplicate_invite' then 1 else 0 end) as duplicate_invites,
        sum(case when reason in ('unknown_referrer', 'unreadable_address') then 1 else 0 end) as unusable_invites,
        count(distinct case when status != 'excluded' then referrer_key end) as referrers,
        sum(case when status = 'converted' then 1 else 0 end) as conversions,
        sum(case when is_converted_in_window then 1 else 0 end) as conversions_in_window,
        sum(days_to_convert) as days_to_convert
    from referrals
    group by {{ month_start('invited_date') }}

),

cycles as (

    select
        {{ month_start('invited_date') }} as month_start,
        days_to_convert,
        count(*) as conversions
    from referrals
    where status = 'converted'
    group by {{ month_start('invited_date') }}, days_to_convert

),

running_cycles as (

    select
        *,
        sum(conversions) over (
            partition by month_start order by days_to_convert asc rows between unbounded preceding and current row
        ) as up_to,
        sum(conversions) over (partition by month_start) as total
    from cycles

),

medians as (

    select
        month_start,
        {{ histogram_percentile('days_to_convert', 'up_to', 'total', 500) }} as median_days_to_convert
    from running_cycles
    group by month_start

),

referees as (

    select distinct referee_key
    from referrals
    where status = 'converted'

),

cohorts as (

    select
        {{ month_start('newcomers.first_order_date') }} as month_start,
        {%- for side, is_side in [('referee', 'is not null'), ('other', 'is null')] %}
        sum(case when referees.referee_key {{ is_side }} then 1 else 0 end) as new_{{ side }}s,
        sum(
            case when referees.referee_key {{ is_side }} then newcomers.ordered_again_90d else 0 end
        ) as {{ side }}s_ordered_again_90d,
        {%- for days in [90, 365] %}
        sum(
            case when referees.referee_key {{ is_side }} then newcomers.revenue_{{ days }}d else 0 end
        ) as {{ side }}s_revenue_{{ days }}d,
        {%- endfor %}
        {%- endfor %}
        count(*) as newcomers
    from newcomers
    left join referees on newcomers.customer_key = referees.referee_key
    group by {{ month_start('newcomers.first_order_date') }}

),

gathered as (

    select
        months.month_start,
        months.month_end <= {{ as_of_date() }} as is_complete,
        {{ add_days('months.month_end', var('referral_window_days')) }} <= {{ as_of_date() }} as is_window_over,
        {{ add_days('months.month_end', 90) }} <= {{ as_of_date() }} as is_followed_90d,
        {{ add_days('months.month_end', 365) }} <= {{ as_of_date() }} as is_followed_365d,
        medians.median_days_to_convert,
        {%- for name in ['all_invites', 'invites', 'self_referrals', 'existing_customers', 'duplicate_invites',
                         'unusable_invites', 'referrers', 'conversions', 'conversions_in_window', 'days_to_convert'] %}
        coalesce(invited.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        {%- for side in ['referees', 'others'] %}
        {%- for name in ['new_' ~ side, side ~ '_ordered_again_90d', side ~ '_revenue_90d', side ~ '_revenue_365d'] %}
        coalesce(cohorts.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        {%- endfor %}
        coalesce(
            retention_rates.customers_start + retention_rates.new_customers + retention_rates.won_back, 0
        ) as eligible_customers
    from months
    left join invited on months.month_start = invited.month_start
    left join medians on months.month_start = medians.month_start
    left join cohorts on months.month_start = cohorts.month_start
    left join retention_rates on months.month_start = retention_rates.period_start

),

final as (

    select
        cast(month_start as date) as {{ adapter.quote('month') }},
        -- the invitations of the month
        cast(all_invites as bigint) as all_invites,
        cast(invites as bigint) as invites,
        cast(self_referrals as bigint) as self_referrals,
        cast(existing_customers as bigint) as existing_customers,
        cast(duplicate_invites as bigint) as duplicate_invites,
        cast(unusable_invites as bigint) as unusable_invites,
        cast(referrers as bigint) as referrers,
        cast(eligible_customers as bigint) as eligible_customers,
        cast(conversions as bigint) as conversions,
        cast(conversions_in_window as bigint) as conversions_in_window,
        cast(days_to_convert as bigint) as days_to_convert,
        cast(case
            when is_complete then {{ ratio('invites', 'eligible_customers') }}
        end as {{ type_double() }}) as invites_per_eligible_customer,
        cast(case
            when is_window_over then {{ ratio('conversions_in_window', 'invites') }}
        end as {{ type_double() }}) as conversion_rate,
        -- invites per customer × conversion rate; the invitations cancel out, and of none K is 0
        cast(case
            when is_window_over then {{ ratio('conversions_in_window', 'eligible_customers') }}
        end as {{ type_double() }}) as k_factor,
        cast(case
            when is_complete then {{ ratio('days_to_convert', 'conversions') }}
        end as {{ type_double() }}) as mean_days_to_convert,
        cast(case when is_complete then median_days_to_convert end as {{ type_double() }}) as median_days_to_convert,
        -- those who first bought in the month
        cast(new_referees as bigint) as new_referees,
        cast(new_others as bigint) as new_others,
        {%- for side in ['referees', 'others'] %}
        cast({{ side }}_ordered_again_90d as bigint) as {{ side }}_ordered_again_90d,
        cast({{ side }}_revenue_90d as {{ type_money() }}) as {{ side }}_revenue_90d,
        cast({{ side }}_revenue_365d as {{ type_money() }}) as {{ side }}_revenue_365d,
        cast(case
            when is_followed_90d then {{ ratio(side ~ '_ordered_again_90d', 'new_' ~ side) }}
        end as {{ type_double() }}) as {{ side }}_repurchase_rate_90d,
        cast(case
            when is_followed_90d then {{ ratio(side ~ '_revenue_90d', 'new_' ~ side) }}
        end as {{ type_double() }}) as revenue_per_{{ side[:-1] }}_90d,
        cast(case
            when is_followed_365d then {{ ratio(side ~ '_revenue_365d', 'new_' ~ side) }}
        end as {{ type_double() }}) as revenue_per_{{ side[:-1] }}_365d,
        {%- endfor %}
        is_complete,
        is_window_over
    from gathered

)

select * from final
