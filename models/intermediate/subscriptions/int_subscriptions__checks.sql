{#- What data_quality lists of subscriptions, in its shape. -#}
{%- set text = type_string() -%}
{%- set listed_rows = var('data_quality_listed_rows') -%}
-- sqlfluff:indentation:template_blocks_indent:false
with events as (

    select
        *,
        case when position(':' in event_key) > 0 then substr(event_key, 1, position(':' in event_key) - 1) end as system
    from {{ ref('int_subscriptions__logged_events') }}

),

quarantined_events as (

    select * from {{ ref('int_subscriptions__quarantined_events') }}

),

disagreements as (

    select * from {{ ref('int_subscriptions__status_disagreements') }}

),

intervals as (

    select * from {{ ref('int_subscriptions__intervals') }}
    where valid_to is null

),

accounts as (

    select * from {{ ref('int_subscriptions__accounts') }}

),

event_checks as (

    select
        'subscription_events' as check_name,
        events.system,
        'subscription_events' as subject,
        coalesce(quarantined_events.reason, 'possible') as item,
        'no event says something impossible' as checked,
        count(*) as rows_checked,
        count(quarantined_events.event_key) as rows_failed,
        count(quarantined_events.event_key) as rows_quarantined,
        case
            when quarantined_events.reason is not null then 'such events change nothing: ' || quarantined_events.reason
        end as why,
        case when quarantined_events.reason is null then 'info' else 'warning' end as severity,
        quarantined_events.reason is null as passed,
        0 as list_position
    from events
    left join quarantined_events on events.event_key = quarantined_events.event_key
    group by events.system, quarantined_events.reason

),

standing as (

    select
        accounts.system,
        accounts.subscription_key,
        accounts.customer_key,
        intervals.money_problem,
        disagreements.stated_status,
        disagreements.logged_state
    from intervals
    inner join accounts on intervals.subscription_key = accounts.subscription_key
    left join disagreements on intervals.subscription_key = disagreements.subscription_key

),

standing_checks as (
    {%- for check in [
        {'name': 'subscription_status_vs_log', 'failed': 'stated_status is not null',
         'checked': 'the status of today is what the log comes to', 'why': 'the log rules'},
        {'name': 'subscription_amounts', 'failed': 'money_problem is not null',
         'checked': 'price, interval and exchange rate are known', 'why': 'such subscriptions add nothing to the MRR'},
        {'name': 'subscription_customers', 'failed': 'customer_key is null',
         'checked': 'the subscriber is a known customer', 'why': 'their MRR is in the sums, under no customer'},
    ] %}
    select
        '{{ check.name }}' as check_name,
        system,
        'subscriptions' as subject,
        cast(null as {{ text }}) as item,
        '{{ check.checked }}' as checked,
        count(*) as rows_checked,
        sum(case when {{ check.failed }} then 1 else 0 end) as rows_failed,
        0 as rows_quarantined,
        case when sum(case when {{ check.failed }} then 1 else 0 end) > 0 then '{{ check.why }}' end as why,
        'warning' as severity,
        sum(case when {{ check.failed }} then 1 else 0 end) = 0 as passed,
        0 as list_position
    from standing
    group by system
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

disagreement_items as (

    select
        system,
        subscription_key,
        stated_status,
        logged_state,
        row_number() over (order by subscription_key asc) as list_position
    from standing
    where stated_status is not null

),

listed as (

    select
        'subscription_status_vs_log_listed' as check_name,
        system,
        'subscriptions' as subject,
        subscription_key as item,
        'a subscription whose status and log disagree' as checked,
        1 as rows_checked,
        1 as rows_failed,
        0 as rows_quarantined,
        'states ' || stated_status || ', its log ' || logged_state as why,
        'info' as severity,
        false as passed,
        list_position
    from disagreement_items
    where list_position <= {{ listed_rows }}

),

gathered as (

    select * from event_checks
    union all
    select * from standing_checks
    union all
    select * from listed

),

final as (

    select
        cast(check_name as {{ text }}) as check_name,
        cast(system as {{ text }}) as system,
        cast(subject as {{ text }}) as subject,
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
