{#- The business line whose thresholds a customer is measured by: a policy list of the customer's attributes. -#}
{%- set attributes = {'account_type': 'customers.account_type', 'country': 'customers.country',
                      'category': 'first_categories.first_category'} -%}
{%- set parts = [] -%}
{%- for attribute in var('lifecycle_business_line') -%}
    {%- do parts.append("coalesce(" ~ attributes[attribute] ~ ", 'unknown')") -%}
{%- endfor -%}
{%- set uses_category = 'category' in var('lifecycle_business_line') -%}
with customers as (

    select * from {{ ref('int_identity__customers') }}

),

{% if uses_category -%}
first_categories as (

    select * from {{ ref('int_customers__first_category') }}

),

{% endif -%}
final as (

    select
        cast(customers.customer_key as {{ type_string() }}) as customer_key,
        cast({{ parts | join(" || ' · ' || ") or "'all'" }} as {{ type_string() }}) as business_line,
        {{ business_date('customers.first_seen_at') }} as first_seen_date
    from customers
    {%- if uses_category %}
    left join first_categories on customers.customer_key = first_categories.customer_key
    {%- endif %}

)

select * from final
