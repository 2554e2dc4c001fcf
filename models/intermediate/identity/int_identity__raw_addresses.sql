{#- Every entity that names somebody by address speaks of customers in its own spelling: the step normalises each
    distinct spelling once, and int_identity__email_customers resolves it. Spellings of rows after as-of do no harm,
    since only nodes decide who owns an address. -#}
{%- set mentions = [
    ('orders', ['email'], ['phone']),
    ('customers', ['email'], ['phone']),
    ('crm_contacts', ['email'], ['phone']),
    ('loyalty_events', ['email'], []),
    ('subscriptions', ['email'], []),
    ('consents', ['email'], ['phone']),
    ('interactions', ['email'], []),
    ('campaign_assignments', ['email'], []),
    ('support_tickets', ['email'], []),
    ('nps_responses', ['email'], []),
    ('reviews', ['email'], []),
    ('referrals', ['referrer_email', 'referee_email'], []),
] -%}
with
{%- for entity, emails, phones in mentions %}

{{ entity }} as (

    select * from {{ ref('int_canonical__' ~ entity) }} where row_status != 'quarantined'

),
{%- endfor %}

mentions as (

    {%- for entity, emails, phones in mentions %}
    {%- set outer = loop %}
    {%- for kind, columns in [('email', emails), ('phone', phones)] %}
    {%- for column in columns %}
    {% if not (outer.first and kind == 'email' and loop.first) %}union
    {% endif %}select
        '{{ kind }}' as kind,
        {{ column }} as raw_value
    from {{ entity }}
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}

),

final as (

    select
        cast(kind as {{ type_string() }}) as kind,
        cast(raw_value as {{ type_string() }}) as raw_value
    from mentions
    where raw_value is not null

)

select * from final
