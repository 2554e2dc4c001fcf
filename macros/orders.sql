{#- Views over rows of orders, as macros, since a view of all of them can't be asked for a few orders only: no engine
    pushes a list of keys below a grouping. `filter` is a where clause on order_id. -#}

{% macro line_totals(items, filter='') -%}
with items as (

    select * from {{ items }}
    {{ filter }}

),

final as (

    select
        order_key,
        cast(count(*) as bigint) as items,
        cast(sum(line_net) as decimal(38, 4)) as item_total,
        cast(max(case when quantity > 0 then 1 else 0 end) as integer) as has_positive_quantity,
        cast(max(case when line_net != round(line_net, 2) then 1 else 0 end) as integer) as has_parts_of_cents,
        cast(max(case when line_net is null then 1 else 0 end) as integer) as has_amount_out_of_range
    from items
    group by order_key

)

select * from final
{%- endmacro %}

{% macro payments_of_orders(payments, filter='') -%}
with payments as (

    select * from {{ payments }}
    where row_status = 'current' and not is_after_as_of {{ filter | replace('where ', 'and ', 1) }}

),

judged as (

    select
        *,
        coalesce(
            amount > 0
            and lower(trim(coalesce(kind, 'sale'))) in ('sale', 'capture')
            and (status is null or lower(trim(status)) in ({{ text_list(var('successful_payment_statuses')) }})),
            false
        ) as is_paying
    from payments

),

final as (

    select
        cast(system || ':' || order_id as {{ type_string() }}) as order_key,
        cast(count(*) as bigint) as payments,
        cast(sum(case when is_paying then 1 else 0 end) as bigint) as paying_payments
    from judged
    group by 1

)

select * from final
{%- endmacro %}
