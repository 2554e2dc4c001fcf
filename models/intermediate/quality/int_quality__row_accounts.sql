{% set statuses = ['current', 'superseded', 'duplicate', 'deleted', 'erased', 'quarantined'] %}
-- sqlfluff:indentation:template_blocks_indent:false
with landed as (

    select * from {{ ref('int_quality__landed') }}

),

statuses as (

    select * from {{ ref('int_quality__row_statuses') }}

),

order_accounts as (

    select * from {{ ref('int_orders__accounts') }}

),

provided as (
    {%- for provider in provided_entities() %}
    select
        '{{ provider.system }}' as system,
        '{{ provider.entity }}' as entity
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

landed_counts as (

    select
        system,
        entity,
        sum(landed) as landed,
        sum(rejected) as rejected
    from landed
    group by system, entity

),

status_counts as (

    select
        system,
        entity,
        {%- for status in statuses %}
        sum(case when row_status = '{{ status }}' then row_count else 0 end) as {{ status }}_rows,
        {%- endfor %}
        count(*) as statuses
    from statuses
    group by system, entity

),

-- a raw table of a system that has no entity of that name: its rows go on into staging, only its rejects are its own
subjects as (

    select
        system,
        entity,
        true as is_entity
    from provided
    union all
    select
        landed_counts.system,
        landed_counts.entity,
        false as is_entity
    from landed_counts
    left join provided
        on landed_counts.system = provided.system and landed_counts.entity = provided.entity
    where provided.entity is null

),

counted as (

    select
        subjects.system,
        subjects.entity,
        order_accounts.valid,
        order_accounts.excluded,
        order_accounts.after_as_of,
        order_accounts.quarantined_later,
        coalesce(landed_counts.landed, 0) as landed,
        case
            when subjects.is_entity then coalesce(status_counts.current_rows, 0)
            else landed_counts.landed - landed_counts.rejected
        end as current_rows,
        coalesce(status_counts.superseded_rows, 0) as superseded,
        coalesce(status_counts.duplicate_rows, 0) as duplicate,
        coalesce(status_counts.deleted_rows, 0) as deleted,
        coalesce(status_counts.erased_rows, 0) as erased,
        coalesce(status_counts.quarantined_rows, 0) + coalesce(landed_counts.rejected, 0) as quarantined
    from subjects
    left join landed_counts
        on subjects.system = landed_counts.system and subjects.entity = landed_counts.entity
    left join status_counts
        on subjects.system = status_counts.system and subjects.entity = status_counts.entity
    left join order_accounts
        on subjects.system = order_accounts.system and subjects.entity = 'orders'

),

balanced as (

    select
        *,
        landed - (current_rows + superseded + duplicate + deleted + erased + quarantined) as difference,
        current_rows - (valid + excluded + after_as_of + quarantined_later) as orders_difference
    from counted

),

final as (

    select
        cast(system as {{ type_string() }}) as system,
        cast(entity as {{ type_string() }}) as entity,
        cast(landed as bigint) as landed,
        cast(current_rows as bigint) as current_rows,
        cast(superseded as bigint) as superseded,
        cast(duplicate as bigint) as duplicate,
        cast(deleted as bigint) as deleted,
        cast(erased as bigint) as erased,
        cast(quarantined as bigint) as quarantined,
        cast(difference as bigint) as difference,
        cast(valid as bigint) as valid,
        cast(excluded as bigint) as excluded,
        cast(after_as_of as bigint) as after_as_of,
        cast(quarantined_later as bigint) as quarantined_later,
        cast(orders_difference as bigint) as orders_difference,
        difference = 0 and coalesce(orders_difference, 0) = 0 as adds_up
    from balanced

)

select * from final
