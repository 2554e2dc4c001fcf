-- Touched orders, 4. in macros/incremental/front.sql.
{%- set store_zone = "coalesce(orders.store_timezone, '" ~ var('business_timezone') ~ "')" %}
with front as (

    select * from {{ ref('int_changes__front') }}

),

order_ids as (

    select order_id from {{ ref('int_changes__order_ids') }}
    union all
    select order_id from {{ ref('int_changes__item_order_ids') }}
    union all
    select order_id from {{ ref('int_changes__payment_order_ids') }}

),

orders as (

    select
        coalesce(order_id, '') as order_id,
        {{ currency_of('currency') }} as order_currency,
        event_date,
        cancelled_at,
        deleted_at,
        store_timezone
    from {{ ref('int_canonical__orders') }}
    where (select front.mode from front) = 'incremental'

),

exchange_rates as (

    select
        currency,
        business_date,
        fx_rate
    from {{ ref('int_orders__exchange_rates') }}

),

kept_rates as (

    select *
    from exchange_rates
    where false
    {{ and_previous('int_changes__kept_rates', 'select currency, business_date, fx_rate from {previous}') }}

),

changed_rates as (

    select
        coalesce(exchange_rates.currency, kept_rates.currency) as currency,
        coalesce(exchange_rates.business_date, kept_rates.business_date) as business_date
    from exchange_rates
    full outer join kept_rates
        on
            exchange_rates.currency = kept_rates.currency
            and exchange_rates.business_date = kept_rates.business_date
    where exchange_rates.fx_rate is distinct from kept_rates.fx_rate

),

converted_otherwise as (

    select orders.order_id
    from orders
    inner join changed_rates
        on
            orders.order_currency = changed_rates.currency
            and orders.event_date = changed_rates.business_date

),

falling_due as (

    select orders.order_id
    from orders
    cross join front
    where {{ falls_due('orders.cancelled_at', store_zone) }} or {{ falls_due('orders.deleted_at', store_zone) }}

),

touched as (

    select order_id from order_ids
    union all
    select order_id from converted_otherwise
    union all
    select order_id from falling_due
    {{ and_previous(
        'int_changes__front_orders',
        "select order_id from {previous}"
        ~ " where (select front.is_interrupted and front.mode = 'incremental' from front)"
    ) }}

),

final as (

    select distinct cast(order_id as {{ type_string() }}) as order_id
    from touched

)

select * from final
