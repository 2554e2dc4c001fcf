-- Whose lifecycle is recomputed (macros/incremental/lifecycle.sql).
with run as (

    select * from {{ ref('int_changes__run') }}

),

before as (

    select * from {{ ref('int_changes__lifecycle_before') }}

),

customers as (

    select customer_key
    from {{ ref('int_changes__customers') }}

),

lifecycle_rows as (

    select
        customer_key,
        row_hashes
    from {{ ref('int_changes__lifecycle_rows') }}

),

lines as ( -- noqa: ST03

    select
        customer_key,
        business_line
    from {{ ref('int_lifecycle__lines') }}

),

contacts as (

    select
        customer_key,
        contact_date
    from {{ ref('int_lifecycle__contacts') }}
    where next_date is null

),

thresholds as (

    select
        business_line,
        month,
        {{ threshold_columns() | join(',\n        ') }}
    from {{ ref('lifecycle_thresholds') }}

),

{{ kept_and_changed('lifecycle_rows', 'lifecycle_rows', ['customer_key'], ['row_hashes']) }},

{{ kept_and_changed('thresholds', 'thresholds', ['business_line', 'month'], threshold_columns()) }},

-- whose last silence came to its threshold: of those who only registered, and of the others
crossing as (

    select contacts.customer_key
    from contacts
    cross join before
    where {{ crosses('contacts.contact_date', [
        var('registered_at_risk_after_days') | string, var('registered_lapsed_after_days') | string
    ]) }}
    {{ and_previous(
        'int_lifecycle__points',
        "select standing.customer_key from {previous} as standing cross join before"
        ~ " where standing.next_happened_on is null and not standing.is_live and "
        ~ crosses('standing.happened_on', ['standing.at_risk_days', 'standing.lapsed_days'])
    ) }}

),

changed as (

    select customer_key from customers
    union all
    select customer_key from changed_lifecycle_rows
    union all
    select customer_key from crossing
    {{ and_previous(
        'int_lifecycle__points',
        "select standing.customer_key from {previous} as standing"
        ~ " inner join lines on standing.customer_key = lines.customer_key"
        ~ " inner join changed_thresholds on lines.business_line = changed_thresholds.business_line"
        ~ " and " ~ month_start('standing.happened_on') ~ " = changed_thresholds.month"
    ) }}
    {{ and_previous(
        'int_changes__lifecycle_customers',
        'select customer_key from {previous} where (select before.is_interrupted from before)'
    ) }}

),

touched as (

    select customer_key from changed
    where (select run.mode from run) = 'incremental'

),

{{ distinct_keys('touched', 'customer_key') }}
