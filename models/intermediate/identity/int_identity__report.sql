{#- What a person should know about identity: how much is anonymous, which values join nobody, which overrides do
    nothing. Counts only, no personal values. -#}
with

orders as (

    select *
    from {{ ref('int_canonical__orders') }}
    where row_status = 'current' and not is_after_as_of

),

order_customers as (

    select * from {{ ref('int_identity__order_customers') }}

),

shared_values as (

    select * from {{ source('identity', 'shared_values') }}

),

addresses as (

    select *
    from {{ source('identity', 'addresses') }}
    where value is null

),

overrides as (

    select * from {{ source('identity', 'overrides') }}

),

nodes as (

    select * from {{ source('identity', 'nodes') }}

),

counted_orders as (

    select
        count(*) as orders,
        sum(case when order_customers.customer_key is null then 1 else 0 end) as anonymous_orders
    from orders
    inner join order_customers
        on orders.system = order_customers.system and orders.order_id = order_customers.order_id

),

order_rows as (

    select
        'identity_anonymous_orders' as check_name,
        'of ' || cast(orders as {{ type_string() }}) || ' orders, share '
        || cast(
            cast(coalesce({{ ratio('anonymous_orders', 'orders') }}, 0) as decimal(9, 4)) as {{ type_string() }}
        ) as detail,
        coalesce(anonymous_orders, 0) as row_count
    from counted_orders

),

kinds as (

    select 'email' as kind
    union all
    select 'phone' as kind
    union all
    select 'company' as kind

),

shared_rows as (

    select
        'identity_shared_values' as check_name,
        kinds.kind
        || ' on more than {{ var("identity_max_nodes_per_value") }} nodes, joins nobody' as detail,
        count(shared_values.kind) as row_count
    from kinds
    left join shared_values on kinds.kind = shared_values.kind
    group by kinds.kind

),

address_rows as (

    select
        'identity_unreadable_addresses' as check_name,
        kind || ': ' || reason as detail,
        count(*) as row_count
    from addresses
    group by kind, reason

),

override_rows as (

    select
        'identity_overrides' as check_name,
        case when same_person then 'true: ' else 'false: ' end || outcome as detail,
        count(*) as row_count
    from overrides
    group by same_person, outcome

),

node_rows as (

    select
        'identity_nodes' as check_name,
        entity
        || case when is_retired then ', retired' when is_tombstone then ', tombstone' else '' end as detail,
        count(*) as row_count
    from nodes
    group by entity, is_retired, is_tombstone

),

report_rows as (

    select * from order_rows
    union all
    select * from shared_rows
    union all
    select * from address_rows
    union all
    select * from override_rows
    union all
    select * from node_rows

),

final as (

    select
        cast(check_name as {{ type_string() }}) as check_name,
        cast(detail as {{ type_string() }}) as detail,
        cast(sum(row_count) as bigint) as row_count
    from report_rows
    group by check_name, detail

)

select * from final
