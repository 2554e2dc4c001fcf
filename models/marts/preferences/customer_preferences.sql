with latest as (

    select * from {{ ref('int_preferences__latest') }}

),

identity_customers as (

    select * from {{ ref('int_identity__customers') }}
    where not is_tombstone

),

lists as (

    select
        stated_value,
        customer_key || '|' || preference as document_key
    from latest
    where preference_type = 'list'

),

items as (

    select * from {{ json_list_items('lists', 'document_key', 'stated_value') }} as list_items

),

rows_of_values as (

    select
        customer_key,
        preference,
        preference_type,
        1 as item_number,
        stated_value,
        stated_at
    from latest
    where preference_type != 'list'
    union all
    select
        latest.customer_key,
        latest.preference,
        latest.preference_type,
        items.item_number,
        items.item as stated_value,
        latest.stated_at
    from latest
    inner join items on latest.customer_key || '|' || latest.preference = items.document_key
    where items.item is not null

),

final as (

    select
        cast(rows_of_values.customer_key as {{ type_string() }}) as customer_key,
        cast(rows_of_values.preference as {{ type_string() }}) as preference,
        cast(rows_of_values.preference_type as {{ type_string() }}) as preference_type,
        cast(rows_of_values.item_number as integer) as item_number,
        cast(rows_of_values.stated_value as {{ type_string() }}) as value_text,
        cast(case
            when rows_of_values.preference_type in ('integer', 'number')
                then {{ safe_cast('rows_of_values.stated_value', type_price()) }}
        end as {{ type_price() }}) as value_number,
        case
            when rows_of_values.preference_type = 'boolean'
                then {{ safe_cast('rows_of_values.stated_value', 'boolean') }}
        end as value_boolean,
        case
            when rows_of_values.preference_type = 'date' then {{ safe_cast('rows_of_values.stated_value', 'date') }}
        end as value_date,
        cast(rows_of_values.stated_at as timestamp) as stated_at
    from rows_of_values
    inner join identity_customers on rows_of_values.customer_key = identity_customers.customer_key

)

select * from final
