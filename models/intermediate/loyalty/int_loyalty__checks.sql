{#- What data_quality lists of loyalty, in its shape: every event, by what became of it. -#}
{%- set text = type_string() -%}
{%- set listed_rows = var('data_quality_listed_rows') -%}
-- sqlfluff:indentation:template_blocks_indent:false
with logged as (

    select * from {{ ref('int_loyalty__logged') }}

),

verdicts as (

    select * from {{ source('loyalty', 'verdicts') }}

),

judged as (

    select
        logged.event_key,
        logged.system,
        logged.event_type,
        logged.points,
        case when logged.customer_key is null then 'unknown_customer' else verdicts.reason end as reason,
        coalesce(verdicts.points_unrecovered, 0) as points_unrecovered
    from logged
    left join verdicts on logged.event_key = verdicts.event_key

),

event_checks as (

    select
        'loyalty_events' as check_name,
        system,
        coalesce(reason, 'possible') as item,
        'no event says something impossible' as checked,
        count(*) as rows_checked,
        count(reason) as rows_failed,
        count(reason) as rows_quarantined,
        case when reason is not null then 'such events change nothing: ' || reason end as why,
        case when reason is null then 'info' else 'warning' end as severity,
        reason is null as passed,
        0 as list_position
    from judged
    group by system, reason

),

unrecovered_checks as (

    select
        'loyalty_unrecovered' as check_name,
        system,
        cast(null as {{ text }}) as item,
        'what a returned order had earned could be taken back' as checked,
        count(*) as rows_checked,
        sum(case when points_unrecovered > 0 then 1 else 0 end) as rows_failed,
        0 as rows_quarantined,
        case
            when sum(points_unrecovered) > 0
                then cast(sum(points_unrecovered) as {{ text }}) || ' points had been spent and stay spent'
        end as why,
        'info' as severity,
        sum(points_unrecovered) = 0 as passed,
        0 as list_position
    from judged
    where event_type = 'reverse'
    group by system

),

refused_items as (

    select
        *,
        row_number() over (order by reason asc, event_key asc) as list_position
    from judged
    where reason is not null

),

listed as (

    select
        'loyalty_events_listed' as check_name,
        system,
        event_key as item,
        'an event that says something impossible' as checked,
        1 as rows_checked,
        1 as rows_failed,
        1 as rows_quarantined,
        reason || ': ' || event_type || ' ' || cast(points as {{ text }}) as why,
        'info' as severity,
        false as passed,
        list_position
    from refused_items
    where list_position <= {{ listed_rows }}

),

gathered as (

    select * from event_checks
    union all
    select * from unrecovered_checks
    union all
    select * from listed

),

final as (

    select
        cast(check_name as {{ text }}) as check_name,
        cast(system as {{ text }}) as system,
        cast('loyalty_events' as {{ text }}) as subject,
        cast(item as {{ text }}) as item,
        cast(checked as {{ text }}) as checked,
        cast(rows_checked as bigint) as rows_checked,
        cast(rows_failed as bigint) as rows_failed,
        cast(rows_quarantined as bigint) as rows_quarantined,
        cast(why as {{ text }}) as why,
        cast(severity as {{ text }}) as severity,
        cast(passed as boolean) as passed,
        cast(list_position as bigint) as list_position
    from gathered

)

select * from final
