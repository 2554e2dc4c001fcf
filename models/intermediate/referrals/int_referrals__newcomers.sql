{#- What became of each new buyer after their first order day: the measure by which referees and others are
    compared. -#}
-- sqlfluff:indentation:template_blocks_indent:false
with order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

first_days as (

    select
        customer_key,
        min(order_date) as first_order_date
    from order_days
    group by customer_key

),

aged_days as (

    select
        first_days.customer_key,
        first_days.first_order_date,
        order_days.orders,
        order_days.net_revenue,
        {{ days_between('first_days.first_order_date', 'order_days.order_date') }} as age_days
    from order_days
    inner join first_days on order_days.customer_key = first_days.customer_key

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        {%- for days in [90, 365] %}
        {{ add_days('first_order_date', days) }} <= {{ as_of_date() }} as is_followed_{{ days }}d,
        cast(case
            when sum(case when age_days <= {{ days }} then orders else 0 end) > 1 then 1 else 0
        end as bigint) as ordered_again_{{ days }}d,
        cast(sum(
            case when age_days <= {{ days }} then net_revenue else 0 end
        ) as {{ type_money() }}) as revenue_{{ days }}d,
        {%- endfor %}
        cast(first_order_date as date) as first_order_date
    from aged_days
    group by customer_key, first_order_date

)

select * from final
