{{ config(
    materialized='touched', unique_key='customer_key',
    meta={'touched_by': 'int_changes__lifecycle_customers', 'decided_by': 'int_changes__lifecycle_run'}
) }}
{#- A buyer is a customer with an order, or with a live subscription; a spell is the time from becoming one, or from
    coming back, to lapsing. Only what begins and what ends a spell is read: everything between is the same spell. -#}
{%- set buyer_states = "('new', 'active', 'reactivated', 'at_risk')" -%}
with history as (

    select * from {{ ref('lifecycle_history') }}
    {{ only_listed('customer_key', 'int_changes__lifecycle_customers') }}

),

turns as (

    select
        customer_key,
        valid_from,
        state = 'lapsed' as is_lapse
    from history
    where
        state = 'lapsed'
        or (state in {{ buyer_states }} and coalesce(previous_state, 'none') not in {{ buyer_states }})

),

spells as (

    select
        customer_key,
        is_lapse,
        valid_from as spell_from,
        lead(valid_from) over (partition by customer_key order by valid_from asc) as spell_to,
        min(valid_from) over (partition by customer_key) as buyer_since
    from turns

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(spell_from as date) as spell_from,
        cast(spell_to as date) as spell_to,
        cast(buyer_since as date) as buyer_since
    from spells
    where not is_lapse

)

select * from final
