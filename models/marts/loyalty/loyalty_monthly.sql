{#- The ledger by month: opening + movements = closing. Breakage looks at lots by the month of their end, since only of
    those the whole life is known. -#}
{%- set kinds = ['earn', 'redeem', 'expire', 'adjust', 'reverse'] -%}
-- sqlfluff:indentation:template_blocks_indent:false
with ledger as (

    select * from {{ ref('loyalty_ledger') }}

),

members as (

    select * from {{ source('loyalty', 'members') }}

),

movements as (

    select
        members.audience,
        {{ month_start('ledger.entered_date') }} as month_start,
        {%- for kind in kinds %}
        sum(case when ledger.event_type = '{{ kind }}' then ledger.points else 0 end) as {{ kind }}_points,
        {%- endfor %}
        count(distinct ledger.customer_key) as moving_members,
        count(distinct case when ledger.event_type = 'redeem' then ledger.customer_key end) as redeeming_members
    from ledger
    inner join members on ledger.customer_key = members.customer_key
    group by members.audience, {{ month_start('ledger.entered_date') }}

),

joiners as (

    select
        audience,
        {{ month_start('joined_on') }} as month_start,
        count(*) as joined_members
    from members
    group by audience, {{ month_start('joined_on') }}

),

lots as (

    select
        members.audience,
        ledger.lot_key,
        {{ business_date('ledger.expires_at') }} as ends_on,
        sum(case when ledger.points > 0 and ledger.event_key = ledger.lot_key then ledger.points else 0 end)
        + sum(case when ledger.event_type = 'reverse' and ledger.points < 0 then ledger.points else 0 end)
            as kept_points,
        sum(case when ledger.event_type = 'expire' then -ledger.points else 0 end) as expired_points
    from ledger
    inner join members on ledger.customer_key = members.customer_key
    group by members.audience, ledger.lot_key, {{ business_date('ledger.expires_at') }}

),

endings as (

    select
        audience,
        {{ month_start('ends_on') }} as month_start,
        sum(kept_points) as ended_points,
        sum(expired_points) as unused_points
    from lots
    where ends_on <= {{ as_of_date() }}
    group by audience, {{ month_start('ends_on') }}

),

audiences as (

    select
        audience,
        min({{ month_start('joined_on') }}) as first_month
    from members
    group by audience

),

months as (

    select
        audiences.audience,
        months.series_date as month_start
    from audiences
    cross join {{ date_series("(select min(first_month) from audiences)", as_of_date(), 'month') }} as months
    where months.series_date >= audiences.first_month

),

filled as (

    select
        months.audience,
        months.month_start,
        {%- for kind in kinds %}
        coalesce(movements.{{ kind }}_points, 0) as {{ kind }}_points,
        {%- endfor %}
        coalesce(movements.moving_members, 0) as moving_members,
        coalesce(movements.redeeming_members, 0) as redeeming_members,
        coalesce(joiners.joined_members, 0) as joined_members,
        coalesce(endings.ended_points, 0) as ended_points,
        coalesce(endings.unused_points, 0) as unused_points
    from months
    left join movements on months.audience = movements.audience and months.month_start = movements.month_start
    left join joiners on months.audience = joiners.audience and months.month_start = joiners.month_start
    left join endings on months.audience = endings.audience and months.month_start = endings.month_start

),

cut_months as (

    select
        'all' as cut,
        'all' as cut_value,
        month_start,
        {%- for kind in kinds %}
        sum({{ kind }}_points) as {{ kind }}_points,
        {%- endfor %}
        sum(moving_members) as moving_members,
        sum(redeeming_members) as redeeming_members,
        sum(joined_members) as joined_members,
        sum(ended_points) as ended_points,
        sum(unused_points) as unused_points
    from filled
    group by month_start
    union all
    select
        'audience' as cut,
        audience as cut_value,
        month_start,
        {%- for kind in kinds %}
        {{ kind }}_points,
        {%- endfor %}
        moving_members,
        redeeming_members,
        joined_members,
        ended_points,
        unused_points
    from filled

),

running as (

    select
        *,
        {{ month_end('month_start') }} <= {{ as_of_date() }} as is_complete,
        sum(earn_points + redeem_points + expire_points + adjust_points + reverse_points) over (
            partition by cut, cut_value order by month_start asc rows between unbounded preceding and current row
        ) as closing_points,
        sum(joined_members) over (
            partition by cut, cut_value order by month_start asc rows between unbounded preceding and current row
        ) as members,
        sum(ended_points) over (
            partition by cut, cut_value order by month_start asc rows between 11 preceding and current row
        ) as ended_points_12m,
        sum(unused_points) over (
            partition by cut, cut_value order by month_start asc rows between 11 preceding and current row
        ) as unused_points_12m
    from cut_months

),

rated as (

    select
        *,
        closing_points
        - (earn_points + redeem_points + expire_points + adjust_points + reverse_points) as opening_points,
        case when is_complete then {{ ratio('unused_points_12m', 'ended_points_12m') }} end as breakage_rate
    from running

),

final as (

    select
        cast(cut as {{ type_string() }}) as cut,
        cast(cut_value as {{ type_string() }}) as cut_value,
        cast(month_start as date) as {{ adapter.quote('month') }},
        cast(members as bigint) as members,
        cast(joined_members as bigint) as joined_members,
        cast(moving_members as bigint) as moving_members,
        cast(redeeming_members as bigint) as redeeming_members,
        cast(opening_points as bigint) as opening_points,
        cast(earn_points as bigint) as earned,
        cast(redeem_points as bigint) as redeemed,
        cast(expire_points as bigint) as expired,
        cast(adjust_points as bigint) as adjusted,
        cast(reverse_points as bigint) as reversed,
        cast(closing_points as bigint) as closing_points,
        {{ points_value('closing_points') }} as liability,
        cast(case when is_complete then {{ ratio('-redeem_points', 'earn_points') }} end as {{ type_double() }})
            as redemption_rate,
        cast(ended_points_12m as bigint) as ended_points_12m,
        cast(unused_points_12m as bigint) as unused_points_12m,
        cast(breakage_rate as {{ type_double() }}) as breakage_rate,
        cast(
            {{ points_value('closing_points') }} * (1 - breakage_rate) as {{ type_double() }}
        ) as expected_liability,
        is_complete
    from rated

)

select * from final
