{#- What data_quality lists of the CRM's tables, in its shape: nothing that a model sets aside goes unsaid. Names and
    counts only: a value may be personal. -#}
{%- set text = type_string() -%}
{%- set checks = [
    ('support_ticket_times', 'support_tickets', 'no ticket is answered or resolved before it is opened',
     'counted as of the opening: a clock that is off, or a wrong time zone'),
    ('support_priorities', 'support_tickets', 'every priority stands in the seed support_targets',
     'tickets without a target: enter the priority in support_targets'),
    ('csat_scale', 'support_tickets', 'every satisfaction lies within csat_scale', 'such answers count nowhere'),
    ('review_scale', 'reviews', 'every rating lies within review_scale', 'such reviews count nowhere'),
    ('consent_statuses', 'consents', 'every status is given or withdrawn', 'such events change nothing'),
    ('consent_people', 'consents', 'every consent event names somebody we know',
     'kept, and heeded as soon as the person is known'),
    ('preference_types', 'crm_contacts', 'what people told us has the type that preference_columns declares',
     'such values are null'),
    ('preference_names', 'crm_contacts', 'every name in preferences stands in preference_columns',
     'told, and used nowhere: add it to preference_columns'),
] -%}
-- sqlfluff:indentation:template_blocks_indent:false
with tickets as (

    select * from {{ ref('int_care__tickets') }}

),

reviews as (

    select * from {{ ref('int_reviews__reviews') }}

),

consents as (

    select * from {{ ref('int_consent__events') }}

),

preferences as (

    select * from {{ ref('int_preferences__stated') }}

),

contacts as (

    select
        system,
        preferences as document
    from {{ ref('int_canonical__crm_contacts') }}
    where row_status = 'current' and not is_after_as_of and preferences is not null

),

-- a list or a text has no names
objects as (

    select * from contacts
    where {{ json_kind('document', '$') }} = 'object'

),

names as (

    select
        listed.system,
        listed.name
    from {{ json_names('objects', 'document') }} as listed

),

counted as (

    select
        'support_ticket_times' as check_name,
        system,
        cast(null as {{ text }}) as item,
        count(*) as rows_checked,
        sum(case when has_impossible_time then 1 else 0 end) as rows_failed
    from tickets
    group by system
    union all
    select
        'support_priorities' as check_name,
        system,
        case when priority = 'unknown' then stated_priority end as item,
        count(*) as rows_checked,
        sum(case when priority = 'unknown' then 1 else 0 end) as rows_failed
    from tickets
    group by system, case when priority = 'unknown' then stated_priority end
    union all
    select
        'csat_scale' as check_name,
        system,
        cast(null as {{ text }}) as item,
        sum(case when csat is not null or has_impossible_csat then 1 else 0 end) as rows_checked,
        sum(case when has_impossible_csat then 1 else 0 end) as rows_failed
    from tickets
    group by system
    union all
    select
        'review_scale' as check_name,
        system,
        cast(null as {{ text }}) as item,
        count(*) as rows_checked,
        sum(case when is_on_scale then 0 else 1 end) as rows_failed
    from reviews
    group by system
    union all
    select
        'consent_statuses' as check_name,
        system,
        case when status not in ('given', 'withdrawn') then status end as item,
        count(*) as rows_checked,
        sum(case when status in ('given', 'withdrawn') then 0 else 1 end) as rows_failed
    from consents
    group by system, case when status not in ('given', 'withdrawn') then status end
    union all
    select
        'consent_people' as check_name,
        system,
        cast(null as {{ text }}) as item,
        count(*) as rows_checked,
        sum(case when customer_key is null then 1 else 0 end) as rows_failed
    from consents
    group by system
    union all
    select
        'preference_types' as check_name,
        system,
        preference || case when is_readable then '' else ': ' || found_kind || ' for ' || preference_type end as item,
        count(*) as rows_checked,
        sum(case when is_readable then 0 else 1 end) as rows_failed
    from preferences
    group by
        system,
        preference || case when is_readable then '' else ': ' || found_kind || ' for ' || preference_type end
    union all
    select
        'preference_names' as check_name,
        system,
        name as item,
        count(*) as rows_checked,
        count(*) as rows_failed
    from names
    where
        name not in (
            {%- for column in var('preference_columns').values() %}
            '{{ column.path.split('.')[1] }}',
            {%- endfor %}
            ''
        )
    group by system, name

),

-- a loader may write a name per person: a thousand of them say it
placed as (

    select
        *,
        row_number() over (
            partition by check_name
            order by rows_failed desc, system asc, item asc nulls first
        ) as place
    from counted

),

final as (

    select
        cast(placed.check_name as {{ text }}) as check_name,
        cast(placed.system as {{ text }}) as system,
        cast(case placed.check_name
            {%- for check_name, subject, checked, why in checks %}
            when '{{ check_name }}' then '{{ subject }}'
            {%- endfor %}
        end as {{ text }}) as subject,
        cast(placed.item as {{ text }}) as item,
        cast(case placed.check_name
            {%- for check_name, subject, checked, why in checks %}
            when '{{ check_name }}' then '{{ checked }}'
            {%- endfor %}
        end as {{ text }}) as checked,
        cast(placed.rows_checked as bigint) as rows_checked,
        cast(placed.rows_failed as bigint) as rows_failed,
        cast(0 as bigint) as rows_quarantined,
        cast(case
            when placed.rows_failed > 0 then
                case placed.check_name
                    {%- for check_name, subject, checked, why in checks %}
                    when '{{ check_name }}' then '{{ why }}'
                    {%- endfor %}
                end
        end as {{ text }}) as why,
        cast(
            case when placed.check_name in ('preference_names', 'consent_people') then 'info' else 'warning' end
            as {{ text }}
        ) as severity,
        cast(placed.rows_failed = 0 as boolean) as passed,
        cast(0 as bigint) as list_position
    from placed
    where placed.place <= {{ var('data_quality_listed_rows') }} or placed.rows_failed = 0

)

select * from final
