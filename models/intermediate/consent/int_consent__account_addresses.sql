{#- Which addresses an account had when: a grant that names only the account holds for those of its instant. Versions of
    its row say so; an account without a row of its own had what its orders and memberships carried, from then on. -#}
with customers as (

    select * from {{ ref('int_canonical__customers') }}
    where row_status in ('current', 'superseded') and not is_after_as_of

),

sightings as (

    select * from {{ ref('int_identity__sightings') }}
    where entity = 'account' and not is_master

),

addresses as (

    select * from {{ source('identity', 'addresses') }}
    where value is not null

),

ordered as (

    select
        system,
        customer_id,
        email,
        phone,
        coalesce(updated_at, created_at) as changed_at,
        row_number() over (
            partition by system, customer_id
            order by coalesce(updated_at, created_at) asc nulls first, source_batch asc, source_line asc nulls last
        ) as version
    from customers

),

-- the first version that we know holds since ever
versions as (

    select
        system,
        customer_id,
        email,
        phone,
        case when version > 1 then changed_at end as valid_from,
        lead(changed_at) over (partition by system, customer_id order by version asc) as valid_to
    from ordered

),

seen as (

    select
        sightings.system,
        sightings.source_id as customer_id,
        sightings.email,
        sightings.phone,
        sightings.first_seen_at as valid_from,
        cast(null as timestamp) as valid_to
    from sightings
    left join ordered
        on
            sightings.system = ordered.system
            and sightings.source_id = ordered.customer_id
            and ordered.version = 1
    where ordered.customer_id is null

),

held as (

    select
        system,
        customer_id,
        'email' as kind,
        email as raw_value,
        valid_from,
        valid_to
    from versions
    union all
    select
        system,
        customer_id,
        'phone' as kind,
        phone as raw_value,
        valid_from,
        valid_to
    from versions
    union all
    select
        system,
        customer_id,
        'email' as kind,
        email as raw_value,
        valid_from,
        valid_to
    from seen
    union all
    select
        system,
        customer_id,
        'phone' as kind,
        phone as raw_value,
        valid_from,
        valid_to
    from seen

),

final as (

    select distinct
        cast(held.system as {{ type_string() }}) as system,
        cast(held.customer_id as {{ type_string() }}) as customer_id,
        cast(held.kind as {{ type_string() }}) as kind,
        cast({{ hash_key(['held.kind', 'addresses.value']) }} as {{ type_string() }}) as address_key,
        cast(held.valid_from as timestamp) as valid_from,
        cast(held.valid_to as timestamp) as valid_to
    from held
    inner join addresses
        on
            held.kind = addresses.kind
            and held.raw_value = addresses.raw_value

)

select * from final
