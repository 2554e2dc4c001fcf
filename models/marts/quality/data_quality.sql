{# Summaries are never cut short; rows listed one by one are, at `data_quality_listed_rows` a check. #}
{% set listed_rows = var('data_quality_listed_rows') %}
{% set text = type_string() %}
{% set key_parts = ['check_name', 'system', 'subject', "coalesce(item, '')", 'list_position'] %}
-- sqlfluff:indentation:template_blocks_indent:false
with row_accounts as (

    select * from {{ ref('int_quality__row_accounts') }}

),

quarantine_shares as (

    select * from {{ ref('int_quality__quarantine_shares') }}

),

quarantined_rows as (

    select * from {{ ref('quarantined_rows') }}

),

ambiguous_versions as (

    select * from {{ ref('int_quality__ambiguous_versions') }}

),

classified_orders as (

    select * from {{ ref('int_orders__classified') }}

),

total_disagreements as (

    select * from {{ ref('int_orders__total_disagreements') }}

),

classified_refunds as (

    select * from {{ ref('int_refunds__classified') }}

),

basket_counts as (

    select * from {{ ref('int_products__basket_counts') }}

),

identity_report as (

    select * from {{ ref('int_identity__report') }}

),

subscription_checks as (

    select * from {{ ref('int_subscriptions__checks') }}

),

loyalty_checks as (

    select * from {{ ref('int_loyalty__checks') }}

),

crm_checks as (

    select * from {{ ref('int_quality__crm_checks') }}

),

landed_counts as (

    select
        system,
        entity,
        landed
    from row_accounts

),

account_checks as (

    select
        'row_accounts' as check_name,
        system,
        entity as subject,
        cast(null as {{ text }}) as item,
        case
            when entity = 'orders'
                then
                    'landed = current + superseded + duplicate + deleted + erased + quarantined; '
                    || 'current = valid + excluded + after as-of + quarantined later'
            else 'landed = current + superseded + duplicate + deleted + erased + quarantined'
        end as checked,
        landed as rows_checked,
        abs(difference) + abs(coalesce(orders_difference, 0)) as rows_failed,
        quarantined + coalesce(quarantined_later, 0) as rows_quarantined,
        cast(landed as {{ text }}) || ' landed = '
        || cast(current_rows as {{ text }}) || ' current + '
        || cast(superseded as {{ text }}) || ' superseded + '
        || cast(duplicate as {{ text }}) || ' duplicate + '
        || cast(deleted as {{ text }}) || ' deleted + '
        || cast(erased as {{ text }}) || ' erased + '
        || cast(quarantined as {{ text }}) || ' quarantined'
        || coalesce(
            '; current = ' || cast(valid as {{ text }}) || ' valid + '
            || cast(excluded as {{ text }}) || ' excluded + '
            || cast(after_as_of as {{ text }}) || ' after as-of + '
            || cast(quarantined_later as {{ text }}) || ' quarantined later',
            ''
        ) as why,
        'error' as severity,
        adds_up as passed
    from row_accounts

),

-- every table, and the batches that stop the run: other batches are thousands after some years
share_checks as (

    select
        'quarantine_share' as check_name,
        system,
        entity as subject,
        case when scope = 'batch' then 'batch ' || cast(source_batch as {{ text }}) end as item,
        'share of rows that can not be read or related, at most ' || cast(quarantine_limit as {{ text }}) as checked,
        landed as rows_checked,
        quarantined as rows_failed,
        quarantined as rows_quarantined,
        cast(quarantined as {{ text }}) || ' of ' || cast(landed as {{ text }}) || ' rows' as why,
        'error' as severity,
        not is_over_limit as passed
    from quarantine_shares
    where scope = 'table' or is_over_limit

),

quarantine_reasons as (

    select
        system,
        entity,
        coalesce(bad_column, 'row') || ': ' || coalesce(bad_reason, 'can not be read') as reason,
        count(*) as rows_quarantined
    from quarantined_rows
    group by system, entity, coalesce(bad_column, 'row') || ': ' || coalesce(bad_reason, 'can not be read')

),

quarantine_checks as (

    select
        'quarantined_rows' as check_name,
        quarantine_reasons.system,
        quarantine_reasons.entity as subject,
        quarantine_reasons.reason as item,
        'no row is in quarantine' as checked,
        coalesce(landed_counts.landed, quarantine_reasons.rows_quarantined) as rows_checked,
        quarantine_reasons.rows_quarantined as rows_failed,
        quarantine_reasons.rows_quarantined,
        quarantine_reasons.reason as why,
        'warning' as severity,
        false as passed
    from quarantine_reasons
    left join landed_counts
        on quarantine_reasons.system = landed_counts.system and quarantine_reasons.entity = landed_counts.entity

),

ambiguous_counts as (

    select
        system,
        entity,
        count(*) as ambiguous_rows
    from ambiguous_versions
    group by system, entity

),

ambiguous_checks as (

    select
        'ambiguous_versions' as check_name,
        landed_counts.system,
        landed_counts.entity as subject,
        cast(null as {{ text }}) as item,
        'no key has two versions of equal updated_at in one batch' as checked,
        landed_counts.landed as rows_checked,
        coalesce(ambiguous_counts.ambiguous_rows, 0) as rows_failed,
        0 as rows_quarantined,
        case
            when ambiguous_counts.ambiguous_rows is not null
                then 'the version of the greater content hash is current, which is arbitrary'
        end as why,
        'warning' as severity,
        ambiguous_counts.ambiguous_rows is null as passed
    from landed_counts
    left join ambiguous_counts
        on landed_counts.system = ambiguous_counts.system and landed_counts.entity = ambiguous_counts.entity
    where landed_counts.landed > 0

),

ambiguous_items as (

    select
        system,
        entity as subject,
        row_key
        || ' in ' || coalesce(source_file, 'raw')
        || ' line ' || coalesce(cast(source_line as {{ text }}), '?') as item,
        row_status || ', batch ' || cast(source_batch as {{ text }}) as why,
        row_number() over (
            order by
                system asc,
                entity asc,
                row_key asc nulls last,
                source_batch asc,
                source_file asc nulls last,
                source_line asc nulls last
        ) as list_position
    from ambiguous_versions

),

status_checks as (

    select
        'order_statuses' as check_name,
        system,
        'orders' as subject,
        cast(null as {{ text }}) as item,
        'every status stands in known_order_statuses or invalid_order_statuses' as checked,
        count(*) as rows_checked,
        sum(case when is_unknown_status then 1 else 0 end) as rows_failed,
        0 as rows_quarantined,
        case
            when max(case when is_unknown_status then 1 else 0 end) = 1 then 'orders of an unknown status count'
        end as why,
        'warning' as severity,
        max(case when is_unknown_status then 1 else 0 end) = 0 as passed
    from classified_orders
    group by system

),

unknown_statuses as (

    select
        'unknown_order_status' as check_name,
        system,
        'orders' as subject,
        lower(trim(status)) as item,
        'the status stands in known_order_statuses or invalid_order_statuses' as checked,
        count(*) as rows_checked,
        count(*) as rows_failed,
        0 as rows_quarantined,
        'orders of status "' || lower(trim(status)) || '" count as purchases: is that meant?' as why,
        'warning' as severity,
        false as passed
    from classified_orders
    where is_unknown_status
    group by system, lower(trim(status))

),

disagreement_checks as (

    select
        'total_vs_lines' as check_name,
        classified_orders.system,
        'orders' as subject,
        cast(null as {{ text }}) as item,
        'the stated total and the lines agree to 0.01' as checked,
        count(*) as rows_checked,
        count(total_disagreements.order_key) as rows_failed,
        0 as rows_quarantined,
        'where they disagree the lines rule' as why,
        'warning' as severity,
        count(total_disagreements.order_key) = 0 as passed
    from classified_orders
    left join total_disagreements
        on classified_orders.order_key = total_disagreements.order_key
    where classified_orders.outcome = 'valid'
    group by classified_orders.system

),

disagreement_items as (

    select
        system,
        'orders' as subject,
        order_key as item,
        'states ' || cast(stated_total as {{ text }}) || ', its lines ' || cast(lines_charged as {{ text }}) as why,
        row_number() over (order by abs(difference) desc, order_key asc) as list_position
    from total_disagreements

),

refund_checks as (

    select
        'refunds_count' as check_name,
        system,
        'refunds' as subject,
        cast(null as {{ text }}) as item,
        'a refund takes revenue away only from an order that counts' as checked,
        count(*) as rows_checked,
        sum(case when outcome = 'not_counted' then 1 else 0 end) as rows_failed,
        sum(case when outcome = 'quarantined' then 1 else 0 end) as rows_quarantined,
        case
            when max(case when outcome = 'not_counted' then 1 else 0 end) = 1 then 'see refunds_not_counted'
        end as why,
        'warning' as severity,
        max(case when outcome = 'not_counted' and reason != 'refunds_ignored' then 1 else 0 end) = 0 as passed
    from classified_refunds
    group by system

),

refund_reasons as (

    select
        'refunds_not_counted' as check_name,
        system,
        'refunds' as subject,
        reason as item,
        'a refund takes revenue away only from an order that counts' as checked,
        count(*) as rows_checked,
        count(*) as rows_failed,
        0 as rows_quarantined,
        reason as why,
        case when reason = 'refunds_ignored' then 'info' else 'warning' end as severity,
        reason = 'refunds_ignored' as passed
    from classified_refunds
    where outcome = 'not_counted'
    group by system, reason

),

refund_items as (

    select
        system,
        'refunds' as subject,
        refund_key as item,
        reason || coalesce(': ' || order_key, '') as why,
        row_number() over (order by refund_key asc) as list_position
    from classified_refunds
    where outcome = 'not_counted' and reason != 'refunds_ignored'

),

identity_checks as (

    select
        check_name,
        'all' as system,
        'identity' as subject,
        detail as item,
        'reported, so that a change is seen' as checked,
        row_count as rows_checked,
        row_count as rows_failed,
        0 as rows_quarantined,
        detail as why,
        'info' as severity,
        true as passed
    from identity_report

),

basket_checks as (

    select
        'large_baskets' as check_name,
        system,
        'orders' as subject,
        cast(null as {{ text }}) as item,
        'an order of more than affinity_max_basket_products products counts in no pair of products' as checked,
        baskets as rows_checked,
        large_baskets as rows_failed,
        0 as rows_quarantined,
        case
            when large_baskets > 0 then 'largest basket: ' || cast(largest_basket as {{ text }}) || ' products'
        end as why,
        'info' as severity,
        true as passed
    from basket_counts

),

listed_items as (
    {%- for check in [
        {'items': 'ambiguous_items', 'name': 'ambiguous_versions_listed', 'checked': 'a row of equal updated_at and batch'},
        {'items': 'disagreement_items', 'name': 'total_vs_lines_listed', 'checked': 'an order whose total and lines disagree'},
        {'items': 'refund_items', 'name': 'refunds_not_counted_listed', 'checked': 'a refund that takes no revenue away'},
    ] %}

    select
        '{{ check.name }}' as check_name,
        system,
        subject,
        item,
        '{{ check.checked }}' as checked,
        1 as rows_checked,
        1 as rows_failed,
        0 as rows_quarantined,
        why,
        'info' as severity,
        false as passed,
        list_position
    from {{ check['items'] }}
    where list_position <= {{ listed_rows }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

checks as (
    {% for cte in ['account_checks', 'share_checks', 'quarantine_checks', 'ambiguous_checks', 'status_checks',
                   'unknown_statuses', 'disagreement_checks', 'refund_checks', 'refund_reasons', 'identity_checks',
                   'basket_checks'] %}
    select
        *,
        0 as list_position
    from {{ cte }}
    union all
    {%- endfor %}
    select * from listed_items
    union all
    select * from subscription_checks
    union all
    select * from loyalty_checks
    union all
    select * from crm_checks

),

final as (

    select
        cast({{ hash_key(key_parts) }} as {{ text }}) as check_key,
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
        {{ as_of_date() }} as as_of_date,
        cast('{{ env_var("RITORNO_RUN_ID", "manual") }}' as {{ text }}) as run_id
    from checks

)

select * from final
