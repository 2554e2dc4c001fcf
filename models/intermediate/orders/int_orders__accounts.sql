with landed as (

    select * from {{ ref('int_canonical__orders') }}

),

classified as (

    select * from {{ ref('int_orders__classified') }}

),

landed_counts as (

    select
        system,
        count(*) as landed,
        sum(case when row_status = 'superseded' then 1 else 0 end) as superseded,
        sum(case when row_status = 'duplicate' then 1 else 0 end) as duplicate,
        sum(case when row_status = 'deleted' then 1 else 0 end) as deleted,
        sum(case when row_status = 'erased' then 1 else 0 end) as erased,
        sum(case when row_status = 'quarantined' then 1 else 0 end) as quarantined,
        sum(case when row_status = 'current' then 1 else 0 end) as current_orders
    from landed
    group by system

),

-- a deleted order is listed among the excluded ones but is no current order
classified_counts as (

    select
        system,
        sum(case when outcome = 'valid' then 1 else 0 end) as valid,
        sum(case when outcome = 'excluded' and reason != 'deleted' then 1 else 0 end) as excluded,
        sum(case when outcome = 'after_as_of' then 1 else 0 end) as after_as_of,
        sum(case when outcome = 'quarantined' then 1 else 0 end) as quarantined_later
    from classified
    group by system

),

final as (

    select
        landed_counts.system,
        cast(landed_counts.landed as bigint) as landed,
        cast(landed_counts.superseded as bigint) as superseded,
        cast(landed_counts.duplicate as bigint) as duplicate,
        cast(landed_counts.deleted as bigint) as deleted,
        cast(landed_counts.erased as bigint) as erased,
        cast(landed_counts.quarantined as bigint) as quarantined,
        cast(landed_counts.current_orders as bigint) as current_orders,
        cast(coalesce(classified_counts.valid, 0) as bigint) as valid,
        cast(coalesce(classified_counts.excluded, 0) as bigint) as excluded,
        cast(coalesce(classified_counts.after_as_of, 0) as bigint) as after_as_of,
        cast(coalesce(classified_counts.quarantined_later, 0) as bigint) as quarantined_later
    from landed_counts
    left join classified_counts
        on landed_counts.system = classified_counts.system

)

select * from final
