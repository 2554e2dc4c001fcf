-- What the consent log says, by whom it can be asked for: the address it names and the customer that is.
with consents as (

    select * from {{ ref('int_canonical__consents') }}
    where row_status = 'current' and not is_after_as_of

),

addresses as (

    select * from {{ source('identity', 'addresses') }}
    where value is not null

),

emails as (

    select * from addresses
    where kind = 'email'

),

phones as (

    select * from addresses
    where kind = 'phone'

),

phone_owners as (

    select
        value,
        min(customer_key) as customer_key
    from {{ source('identity', 'node_addresses') }}
    where kind = 'phone'
    group by value
    having count(distinct customer_key) = 1

),

final as (

    select
        cast(consents.system as {{ type_string() }}) as system,
        cast(consents.customer_id as {{ type_string() }}) as customer_id,
        cast(coalesce({{ customer_key_of() }}, phone_owners.customer_key) as {{ type_string() }}) as customer_key,
        cast(case
            when emails.value is not null then {{ hash_key(["'email'", 'emails.value']) }}
        end as {{ type_string() }}) as email_key,
        cast(case
            when phones.value is not null then {{ hash_key(["'phone'", 'phones.value']) }}
        end as {{ type_string() }}) as phone_key,
        cast(consents.email is not null or consents.phone is not null as boolean) as names_address,
        cast(lower(trim(consents.channel)) as {{ type_string() }}) as channel,
        cast(lower(trim(consents.purpose)) as {{ type_string() }}) as purpose,
        cast(lower(trim(consents.status)) as {{ type_string() }}) as status,
        cast(consents.occurred_at as timestamp) as occurred_at,
        cast(consents.expires_at as timestamp) as expires_at
    from consents
    {{ join_customers('consents') }}
    left join emails on consents.email = emails.raw_value
    left join phones on consents.phone = phones.raw_value
    left join phone_owners on phones.value = phone_owners.value

)

select * from final
