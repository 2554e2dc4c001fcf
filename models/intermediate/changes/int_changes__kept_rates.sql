-- The exchange rates that the front now stands for.
{{ after_the_heavy_tier() }}
with exchange_rates as (

    select * from {{ ref('int_orders__exchange_rates') }}
    {% if not takes_fingerprints() %}where false{% endif %}

),

final as (

    select
        currency,
        business_date,
        fx_rate
    from exchange_rates

)

select * from final
