{#- The business line whose thresholds a customer is measured by: a policy list of the customer's attributes. -#}
{%- set attributes = {'account_type': 'customers.account_type', 'country': 'customers.country',
                      'category': 'first_categories.first_category'} -%}
with customers as (

    select * from {{ ref('int_identity__customers') }}

),

first_categories as (

    select * from {{ ref('int_customers__first_category') }}

),

final as (

    select
        cast(customers.customer_key as {{ type_string() }}) as customer_key,
        cast(
            {%- for attribute in var('lifecycle_business_line') %}
            coalesce({{ attributes[attribute] }}, 'unknown'){{ " || ' · ' ||" if not loop.last }}
            {%- else %}
            'all'
            {%- endfor %}
            as {{ type_string() }}
        ) as business_line,
        {{ business_date('customers.first_seen_at') }} as first_seen_date
    from customers
    left join first_categories on customers.customer_key = first_categories.customer_key

)

select * from final
