{#- Direct standardisation: the controls' rate is that which they would show if they stood where the tickets' customers
    stood. Interval of the difference: Newcombe (1998), "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17, p. 873–890, method 10. -#}
{%- set handled = "case when {0} then 'breached' when not {0} then 'within_target' else 'no_target' end" -%}
{%- set cuts = {
    'all': "'all'",
    'priority': 'support_tickets.priority',
    'first_response': handled.format('support_tickets.is_first_response_breached'),
    'resolution': handled.format('support_tickets.is_resolution_breached'),
} -%}
-- sqlfluff:indentation:template_blocks_indent:false
with matches as (

    select * from {{ ref('int_care__ticket_matches') }}

),

support_tickets as (

    select * from {{ ref('support_tickets') }}

),

standings as (
    {% for cut, cut_value in cuts.items() %}
    select
        '{{ cut }}' as cut,
        {{ cut_value }} as cut_value,
        matches.order_days_band,
        matches.order_quarter,
        matches.days_since_order,
        max(matches.controls) as controls,
        max(matches.controls_repurchased) as controls_repurchased,
        count(*) as tickets,
        sum(case when matches.is_matched then 1 else 0 end) as matched,
        sum(case when matches.is_matched and matches.is_repurchased then 1 else 0 end) as repurchased
    from matches
    inner join support_tickets on matches.ticket_key = support_tickets.ticket_key
    group by
        {{ cut_value ~ ',' if cut != 'all' }}
        matches.order_days_band,
        matches.order_quarter,
        matches.days_since_order
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

summed as (

    select
        cut,
        cut_value,
        sum(tickets) as tickets,
        sum(matched) as matched,
        sum(repurchased) as repurchased,
        sum(case when matched > 0 then controls else 0 end) as controls,
        sum(case when matched > 0 then matched * {{ ratio('controls_repurchased', 'controls') }} end) as expected,
        -- each control weighs as much as the tickets that it is compared with
        sum(case when matched > 0 then {{ ratio('matched * matched', 'controls') }} end) as weight_squares
    from standings
    group by cut, cut_value

),

rates as (

    select
        *,
        {{ ratio('repurchased', 'matched') }} as rate,
        {{ ratio('expected', 'matched') }} as control_rate,
        -- Kish's effective number
        {{ ratio('matched * matched', 'weight_squares') }} as effective_controls
    from summed

),

bounds as (

    select
        *,
        {{ wilson_bound('rate', 'matched', 'low') }} as rate_low,
        {{ wilson_bound('rate', 'matched', 'high') }} as rate_high,
        {{ wilson_bound('control_rate', 'effective_controls', 'low') }} as control_rate_low,
        {{ wilson_bound('control_rate', 'effective_controls', 'high') }} as control_rate_high
    from rates

),

final as (

    select
        cast(cut as {{ type_string() }}) as cut,
        cast(cut_value as {{ type_string() }}) as cut_value,
        cast({{ var('support_effect_days') }} as integer) as window_days,
        cast(tickets as bigint) as tickets,
        cast(matched as bigint) as matched_tickets,
        cast(repurchased as bigint) as repurchased,
        cast(rate as {{ type_double() }}) as repurchase_rate,
        cast(rate_low as {{ type_double() }}) as repurchase_rate_low,
        cast(rate_high as {{ type_double() }}) as repurchase_rate_high,
        cast(controls as bigint) as controls,
        cast(expected as {{ type_double() }}) as expected_repurchases,
        cast(control_rate as {{ type_double() }}) as control_rate,
        cast(control_rate_low as {{ type_double() }}) as control_rate_low,
        cast(control_rate_high as {{ type_double() }}) as control_rate_high,
        cast(rate - control_rate as {{ type_double() }}) as difference,
        cast(
            rate - control_rate
            - sqrt(
                (rate - rate_low) * (rate - rate_low)
                + (control_rate_high - control_rate) * (control_rate_high - control_rate)
            ) as {{ type_double() }}
        ) as difference_low,
        cast(
            rate - control_rate
            + sqrt(
                (rate_high - rate) * (rate_high - rate)
                + (control_rate - control_rate_low) * (control_rate - control_rate_low)
            ) as {{ type_double() }}
        ) as difference_high,
        {{ as_of_date() }} as as_of_date
    from bounds

)

select * from final
