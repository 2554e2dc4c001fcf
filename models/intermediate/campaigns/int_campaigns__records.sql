with assignments as (

    select * from {{ ref('int_canonical__campaign_assignments') }}
    where row_status = 'current' and not is_after_as_of

),

experiments as (

    select * from {{ source('experiments', 'assignments') }}
    where {{ business_date('assigned_at') }} <= {{ as_of_date() }}

),

aliases as (

    select * from {{ ref('customer_aliases') }}
    where alias_kind = 'node_key'

),

recorded as (

    select
        assignments.system,
        assignments.campaign_id,
        assignments.arm,
        assignments.assigned_at,
        {{ customer_key_of() }} as customer_key
    from assignments
    {{ join_customers('assignments') }}
    union all
    -- experiments on segments, recorded by the audience engine; who was two customers then may be one now
    select
        'ritorno' as system,
        experiments.experiment as campaign_id,
        experiments.arm,
        experiments.assigned_at,
        aliases.customer_key
    from experiments
    left join aliases
        on experiments.customer_key = aliases.alias

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
