{#- What the sources say about people, each combination of values once, before any of it is compared. Aggregated here,
    so that the Python step never sees one row per order. Deleted rows stay: their nodes are tombstones, and their
    addresses keep the customer together that they made. -#}
{%- set is_erased_person = '(' ~ is_erased_id('customer_id') ~ ' or ' ~ is_erased_id('email') ~ ')' -%}
{%- set existing = "row_status in ('current', 'deleted', 'erased') and not is_after_as_of" -%}
with

orders as (

    select *
    from {{ ref('int_canonical__orders') }}
    where {{ existing }}

),

customers as (

    select *
    from {{ ref('int_canonical__customers') }}
    where {{ existing }}

),

crm_contacts as (

    select *
    from {{ ref('int_canonical__crm_contacts') }}
    where {{ existing }}

),

loyalty_events as (

    select *
    from {{ ref('int_canonical__loyalty_events') }}
    where {{ existing }}

),

subscriptions as (

    select *
    from {{ ref('int_canonical__subscriptions') }}
    where {{ existing }}

),

-- an order names its account; without one, what it says of the guest is all there is
order_sightings as (

    select
        system,
        case when customer_id is null then 'guest' else 'account' end as entity,
        customer_id as source_id,
        cast(null as {{ type_string() }}) as account_id,
        email,
        phone,
        cast(null as {{ type_string() }}) as company,
        cast(null as {{ type_string() }}) as country,
        account_type,
        0 as is_master,
        case when row_status = 'current' and not {{ is_erased_person }} then 1 else 0 end as is_live,
        min(ordered_at) as first_seen_at,
        max(coalesce(updated_at, ordered_at)) as last_updated_at,
        count(*) as row_count
    from orders
    where customer_id is not null or email is not null or phone is not null
    group by system, customer_id, email, phone, account_type, row_status

),

account_sightings as (

    select
        system,
        'account' as entity,
        customer_id as source_id,
        cast(null as {{ type_string() }}) as account_id,
        email,
        phone,
        company,
        country,
        account_type,
        1 as is_master,
        case when row_status = 'current' then 1 else 0 end as is_live,
        created_at as first_seen_at,
        coalesce(updated_at, created_at) as last_updated_at,
        1 as row_count
    from customers

),

contact_sightings as (

    select
        system,
        'contact' as entity,
        contact_id as source_id,
        customer_id as account_id,
        email,
        phone,
        company,
        country,
        cast(null as {{ type_string() }}) as account_type,
        1 as is_master,
        case when row_status = 'current' then 1 else 0 end as is_live,
        created_at as first_seen_at,
        coalesce(updated_at, created_at) as last_updated_at,
        1 as row_count
    from crm_contacts

),

-- a member or subscriber with an account has the account's number; without one, the e-mail address is its id
member_sightings as (

    select
        system,
        'member' as entity,
        customer_id as source_id,
        customer_id as account_id,
        email,
        cast(null as {{ type_string() }}) as phone,
        cast(null as {{ type_string() }}) as company,
        cast(null as {{ type_string() }}) as country,
        cast(null as {{ type_string() }}) as account_type,
        0 as is_master,
        case when row_status = 'current' and not {{ is_erased_person }} then 1 else 0 end as is_live,
        min(occurred_at) as first_seen_at,
        max(coalesce(updated_at, occurred_at)) as last_updated_at,
        count(*) as row_count
    from loyalty_events
    where customer_id is not null or email is not null
    group by system, customer_id, email, row_status

),

subscriber_sightings as (

    select
        system,
        'subscriber' as entity,
        customer_id as source_id,
        customer_id as account_id,
        email,
        cast(null as {{ type_string() }}) as phone,
        cast(null as {{ type_string() }}) as company,
        cast(null as {{ type_string() }}) as country,
        cast(null as {{ type_string() }}) as account_type,
        0 as is_master,
        case when row_status = 'current' and not {{ is_erased_person }} then 1 else 0 end as is_live,
        min(started_at) as first_seen_at,
        max(coalesce(updated_at, started_at)) as last_updated_at,
        count(*) as row_count
    from subscriptions
    where customer_id is not null or email is not null
    group by system, customer_id, email, row_status

),

own_sightings as (

    select * from order_sightings
    union all
    select * from account_sightings
    union all
    select * from contact_sightings
    union all
    select * from member_sightings
    union all
    select * from subscriber_sightings

),

-- An account that only others name is an account too. Being named is no sighting in time: the account's age is that
-- of its own rows.
mentioned_accounts as (

    select
        system,
        'account' as entity,
        account_id as source_id,
        cast(null as {{ type_string() }}) as account_id,
        cast(null as {{ type_string() }}) as email,
        cast(null as {{ type_string() }}) as phone,
        cast(null as {{ type_string() }}) as company,
        cast(null as {{ type_string() }}) as country,
        cast(null as {{ type_string() }}) as account_type,
        0 as is_master,
        max(is_live) as is_live,
        cast(null as timestamp) as first_seen_at,
        cast(null as timestamp) as last_updated_at,
        0 as row_count
    from own_sightings
    where account_id is not null
    group by system, account_id

),

sightings as (

    select * from own_sightings
    union all
    select * from mentioned_accounts

),

final as (

    select
        cast(system as {{ type_string() }}) as system,
        cast(entity as {{ type_string() }}) as entity,
        cast(source_id as {{ type_string() }}) as source_id,
        cast(account_id as {{ type_string() }}) as account_id,
        cast(email as {{ type_string() }}) as email,
        cast(phone as {{ type_string() }}) as phone,
        cast(company as {{ type_string() }}) as company,
        cast(country as {{ type_string() }}) as country,
        cast(account_type as {{ type_string() }}) as account_type,
        is_master = 1 as is_master,
        is_live = 1 as is_live,
        cast(min(first_seen_at) as timestamp) as first_seen_at,
        cast(max(last_updated_at) as timestamp) as last_updated_at,
        cast(sum(row_count) as bigint) as row_count
    from sightings
    group by
        system, entity, source_id, account_id, email, phone, company, country, account_type, is_master, is_live

)

select * from final
