-- Only rows that can't be read or related count against the policy's limit; a batch has one from 100 rows on, since
-- one bad row of ten says nothing, and the table as a whole always.
{%- set smallest_batch = 100 %}
with landed as (

    select * from {{ ref('int_quality__landed') }}

),

statuses as (

    select * from {{ ref('int_quality__row_statuses') }}
    where row_status = 'quarantined'

),

batches as (

    select
        landed.system,
        landed.entity,
        landed.source_batch,
        landed.landed,
        landed.rejected + coalesce(statuses.row_count, 0) as quarantined
    from landed
    left join statuses
        on
            landed.system = statuses.system
            and landed.entity = statuses.entity
            and landed.source_batch = statuses.source_batch

),

scopes as (

    select
        system,
        entity,
        'batch' as scope,
        source_batch,
        landed,
        quarantined,
        landed >= {{ smallest_batch }} as is_judged
    from batches
    union all
    select
        system,
        entity,
        'table' as scope,
        cast(null as bigint) as source_batch,
        sum(landed) as landed,
        sum(quarantined) as quarantined,
        true as is_judged
    from batches
    group by system, entity

),

shares as (

    select
        *,
        {{ ratio('quarantined', 'landed') }} as quarantined_share,
        cast({{ var('quarantine_limit') }} as {{ type_double() }}) as quarantine_limit
    from scopes

),

final as (

    select
        cast(system as {{ type_string() }}) as system,
        cast(entity as {{ type_string() }}) as entity,
        cast(scope as {{ type_string() }}) as scope,
        source_batch,
        cast(landed as bigint) as landed,
        cast(quarantined as bigint) as quarantined,
        quarantined_share,
        quarantine_limit,
        is_judged,
        coalesce(is_judged and quarantined_share > quarantine_limit, false) as is_over_limit
    from shares

)

select * from final
