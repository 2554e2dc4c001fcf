{#- What each contact's JSON says under the names of the policy. A value of another type is null here and listed in
    data_quality; a document that is no JSON put its row into quarantine. -#}
{%- set columns = var('preference_columns') -%}
{%- set kinds = {
    'text': ['text'], 'integer': ['integer'], 'number': ['integer', 'number'], 'boolean': ['boolean'],
    'date': ['text'], 'list': ['list'],
} -%}
-- sqlfluff:indentation:template_blocks_indent:false
with crm_contacts as (

    select * from {{ ref('int_canonical__crm_contacts') }}
    where row_status = 'current' and not is_after_as_of and preferences is not null

),

contact_nodes as (

    select * from {{ source('identity', 'nodes') }}
    where entity = 'contact'

),

documents as (

    select
        crm_contacts.system,
        contact_nodes.customer_key,
        contact_nodes.node_key,
        crm_contacts.preferences,
        crm_contacts.created_at,
        coalesce(crm_contacts.updated_at, crm_contacts.created_at) as stated_at
    from crm_contacts
    inner join contact_nodes
        on
            crm_contacts.system = contact_nodes.system
            and crm_contacts.contact_id = contact_nodes.source_id

),

read_values as (
    {% if columns -%}
    {% for name, column in columns.items() %}
    select
        system,
        customer_key,
        node_key,
        created_at,
        stated_at,
        '{{ name }}' as preference,
        '{{ column.type }}' as preference_type,
        {{ json_kind('preferences', column.path) }} as found_kind,
        {{ json_text('preferences', column.path) }} as found_text
    from documents
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- else -%}
    select
        system,
        customer_key,
        node_key,
        created_at,
        stated_at,
        cast(null as {{ type_string() }}) as preference,
        cast(null as {{ type_string() }}) as preference_type,
        cast(null as {{ type_string() }}) as found_kind,
        cast(null as {{ type_string() }}) as found_text
    from documents
    where 1 = 0
    {%- endif %}

),

typed as (

    select
        *,
        case
            {%- for type, found in kinds.items() %}
            when
                preference_type = '{{ type }}'
                and found_kind in ({{ text_list(found) }})
                {%- if type == 'date' %}
                and {{ read_date('found_text') }} is not null
                {%- endif %}
                then true
            {%- endfor %}
            else false
        end as is_readable
    from read_values
    where found_kind is not null and found_kind != 'null'

),

final as (

    select
        cast(system as {{ type_string() }}) as system,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(node_key as {{ type_string() }}) as node_key,
        cast(preference as {{ type_string() }}) as preference,
        cast(preference_type as {{ type_string() }}) as preference_type,
        cast(found_kind as {{ type_string() }}) as found_kind,
        cast(is_readable as boolean) as is_readable,
        cast(case when is_readable then found_text end as {{ type_string() }}) as stated_value,
        cast(created_at as timestamp) as created_at,
        cast(stated_at as timestamp) as stated_at
    from typed

)

select * from final
