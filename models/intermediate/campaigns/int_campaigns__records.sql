with assignments as (

    select * from {{ ref('int_canonical__campaign_assignments') }}
    where row_status = 'current' and not is_after_as_of

),

-- the union point: whatever else records who was put in which arm (the audience engine's own experiments) joins here,
-- with these columns
recorded as (

    select
        assignments.system,
        assignments.campaign_id,
        assignments.arm,
        assignments.assigned_at,
        {{ customer_key_of() }} as customer_key
    from assignments
    {{ join_customers('assignments') }}

),

final as (

    select
        cast(system || ':' || campaign_id as {{ type_string() }}) as campaign_key,
        cast(case
            when lower(trim(arm)) in ({{ text_list(var('holdout_arms')) }}) then 'holdout'
            else lower(trim(arm))
        end as {{ type_string() }}) as arm,
        cast(case
            when lower(trim(arm)) in ({{ text_list(var('holdout_arms')) }}) then 'holdout'
            else 'variant'
        end as {{ type_string() }}) as arm_role,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(assigned_at as timestamp) as assigned_at
    from recorded

)

select * from final
