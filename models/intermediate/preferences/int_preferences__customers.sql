{#- One typed column per name of the policy `preference_columns`, for segments to use. A list is JSON text here; the
    mart customer_preferences has a row per item. -#}
{%- set types = {
    'text': type_string(), 'list': type_string(), 'integer': 'bigint', 'number': type_price(), 'boolean': 'boolean',
    'date': 'date',
} -%}
-- sqlfluff:indentation:template_blocks_indent:false
with latest as (

    select * from {{ ref('int_preferences__latest') }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        {%- for name, column in var('preference_columns').items() %}
        {%- set value = "max(case when preference = '" ~ name ~ "' then stated_value end)" %}
        {{ safe_cast(value, types[column.type]) }} as {{ adapter.quote(name) }},
        {%- endfor %}
        cast(max(stated_at) as timestamp) as preferences_stated_at
    from latest
    group by customer_key

)

select * from final
