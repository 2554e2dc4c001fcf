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

{{ kept_and_changed('exchange_rates', 'rates', ['currency', 'business_date'], ['fx_rate']) }},

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
    {{ and_interrupted('int_changes__front_orders') }}

),

{{ distinct_keys('touched') }}
