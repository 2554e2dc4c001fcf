{{ config(
    materialized='touched', unique_key='customer_key',
    meta={'touched_by': 'int_changes__lifecycle_customers', 'decided_by': 'int_changes__lifecycle_run'}
) }}

with points as (

    select * from {{ ref('int_lifecycle__points') }}
    {{ only_listed('customer_key', 'int_changes__lifecycle_customers') }}

),

contacts as (

    select * from {{ ref('int_lifecycle__contacts') }}
    {{ only_listed('customer_key', 'int_changes__lifecycle_customers') }}

),

silences as (

    select
        customer_key,
        happened_on as silent_from,
        next_happened_on as silent_to,
        {{ add_days('happened_on', 'at_risk_days + 1') }} as at_risk_from,
        {{ add_days('happened_on', 'lapsed_days + 1') }} as lapsed_from,
        case
            when order_days_so_far = 0 then 'active'
            when last_order_ended_lapse then 'reactivated'
            when order_days_so_far = 1 then 'new'
            else 'active'
        end as state_within,
        'at_risk' as state_at_risk,
        'lapsed' as state_lapsed,
        at_risk_days,
        lapsed_days,
        policy
    from points
    where not is_live
    union all
    select
        customer_key,
        contact_date as silent_from,
        next_date as silent_to,
        {{ add_days('contact_date', var('registered_at_risk_after_days') + 1) }} as at_risk_from,
        {{ add_days('contact_date', var('registered_lapsed_after_days') + 1) }} as lapsed_from,
        'registered' as state_within,
        'registered_at_risk' as state_at_risk,
        'registered_lapsed' as state_lapsed,
        {{ var('registered_at_risk_after_days') }} as at_risk_days,
        {{ var('registered_lapsed_after_days') }} as lapsed_days,
        'fixed' as policy
    from contacts

),

-- each silence is three stretches: within the threshold, beyond the first, beyond the second
stretches as (

    select
        customer_key,
        state_within as state,
        silent_from as stretch_from,
        case when silent_to < at_risk_from then silent_to else at_risk_from end as stretch_to,
        silent_from as silent_since,
        at_risk_days as threshold_days,
        policy
    from silences
    union all
    select
        customer_key,
        state_at_risk as state,
        at_risk_from as stretch_from,
        case when silent_to < lapsed_from then silent_to else lapsed_from end as stretch_to,
        silent_from as silent_since,
        at_risk_days as threshold_days,
        policy
    from silences
    where silent_to is null or silent_to > at_risk_from
    union all
    select
        customer_key,
        state_lapsed as state,
        lapsed_from as stretch_from,
        silent_to as stretch_to,
        silent_from as silent_since,
        lapsed_days as threshold_days,
        policy
    from silences
    where silent_to is null or silent_to > lapsed_from
    union all
    select
        customer_key,
        'active' as state,
        happened_on as stretch_from,
        next_happened_on as stretch_to,
        cast(null as date) as silent_since,
        cast(null as integer) as threshold_days,
        'subscription' as policy
    from points
    where is_live

),

placed as (

    select
        *,
        lag(state) over (partition by customer_key order by stretch_from) as state_before,
        lead(state) over (partition by customer_key order by stretch_from) as state_after
    from stretches
    where stretch_from <= {{ as_of_date() }}

),

-- of a stay only its first and its last stretch matter, which may be one
ends as (

    select
        *,
        coalesce(state_before != state, true) as is_first,
        coalesce(state_after != state, true) as is_last
    from placed
    where
        coalesce(state_before != state, true)
        or coalesce(state_after != state, true)

),

-- the last stretch of a stay has the threshold that will end it; before one that isn't the first as well stands the
-- first of its stay
stays as (

    select
        *,
        lag(stretch_from) over (partition by customer_key order by stretch_from) as from_before,
        lag(state_before) over (partition by customer_key order by stretch_from) as state_before_that
    from ends

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(state as {{ type_string() }}) as state,
        cast(case when is_first then stretch_from else from_before end as date) as valid_from,
        cast(case when stretch_to <= {{ as_of_date() }} then stretch_to end as date) as valid_to,
        cast(silent_since as date) as silent_since,
        cast(threshold_days as integer) as threshold_days,
        cast(policy as {{ type_string() }}) as policy,
        cast(case when is_first then state_before else state_before_that end as {{ type_string() }}) as previous_state
    from stays
    where is_last

)

select * from final
