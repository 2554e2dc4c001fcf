with points as (

    select * from {{ ref('int_lifecycle__points') }}

),

contacts as (

    select * from {{ ref('int_lifecycle__contacts') }}

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

past as (

    select
        *,
        case
            when lag(state) over (partition by customer_key order by stretch_from) = state then 0
            else 1
        end as changes_state
    from stretches
    where stretch_from <= {{ as_of_date() }}

),

stays as (

    select
        *,
        sum(changes_state) over (
            partition by customer_key order by stretch_from rows between unbounded preceding and current row
        ) as stay_number,
        row_number() over (partition by customer_key order by stretch_from desc) as from_last
    from past

),

-- the last stretch of a stay has the threshold that will end it
merged as (

    select
        customer_key,
        stay_number,
        min(state) as state,
        min(stretch_from) as valid_from,
        min(from_last) as from_last
    from stays
    group by customer_key, stay_number

),

final as (

    select
        cast(merged.customer_key as {{ type_string() }}) as customer_key,
        cast(merged.state as {{ type_string() }}) as state,
        cast(merged.valid_from as date) as valid_from,
        cast(case when stays.stretch_to <= {{ as_of_date() }} then stays.stretch_to end as date) as valid_to,
        cast(stays.silent_since as date) as silent_since,
        cast(stays.threshold_days as integer) as threshold_days,
        cast(stays.policy as {{ type_string() }}) as policy,
        cast(
            lag(merged.state) over (partition by merged.customer_key order by merged.valid_from)
            as {{ type_string() }}
        ) as previous_state
    from merged
    inner join stays on merged.customer_key = stays.customer_key and merged.from_last = stays.from_last

)

select * from final
