{#- The customer of a row that names an account or an e-mail address (a ticket, an interaction, an invitation).

    In a model's `from`:      from tickets {{ join_customers('tickets') }}
    in its select list:       {{ customer_key_of() }} as customer_key
    Several in one model: name them, join_customers('referrals', 'referrer_id', 'referrer_email', name='referrer').
    The account rules; the address speaks where no account is named or known, and only if it is one customer's. -#}
{% macro join_customers(relation, customer_id='customer_id', email='email', name='person') -%}
{%- if customer_id %}
left join {{ ref('int_identity__customer_ids') }} as {{ name }}_by_id
    on {{ relation }}.system = {{ name }}_by_id.system and {{ relation }}.{{ customer_id }} = {{ name }}_by_id.customer_id
{%- endif %}
{%- if email %}
left join {{ ref('int_identity__email_customers') }} as {{ name }}_by_email
    on {{ relation }}.{{ email }} = {{ name }}_by_email.email
{%- endif %}
{%- endmacro %}

{% macro customer_key_of(customer_id=true, email=true, name='person') -%}
{%- if customer_id and email -%}
coalesce({{ name }}_by_id.customer_key, {{ name }}_by_email.customer_key)
{%- elif customer_id -%}
{{ name }}_by_id.customer_key
{%- else -%}
{{ name }}_by_email.customer_key
{%- endif -%}
{%- endmacro %}
