with grants as (

    select * from {{ ref('int_consent__grants') }}
    where purpose in ({{ text_list(var('marketing_purposes')) }})

),

bounced as (

    select * from {{ ref('int_channels__bounced') }}

),

checked as (

    select
        grants.customer_key,
        grants.channel,
        grants.granted_at,
        grants.is_granted,
        grants.is_granted
        and dead_addresses.address_key is null
        and dead_channels.address_key is null as is_reachable
    from grants
    left join bounced as dead_addresses
        on
            grants.customer_key = dead_addresses.customer_key
            and grants.channel = dead_addresses.channel
            and grants.address_key = dead_addresses.address_key
    left join bounced as dead_channels
        on
            grants.customer_key = dead_channels.customer_key
            and grants.channel = dead_channels.channel
            and dead_channels.address_key = ''

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(channel as {{ type_string() }}) as channel,
        cast(max(case when is_granted then 1 else 0 end) = 1 as boolean) as has_consent,
        cast(max(case when is_reachable then 1 else 0 end) = 1 as boolean) as is_reachable,
        cast(max(case when is_granted then granted_at end) as timestamp) as consent_given_at
    from checked
    group by customer_key, channel

)

select * from final
