-- Every landed order row is in exactly one bucket, and every current order in exactly one outcome, per system.
select
    system,
    landed,
    current_orders
from {{ ref('int_orders__accounts') }}
where
    landed != superseded + duplicate + deleted + erased + quarantined + current_orders
    or current_orders != valid + excluded + after_as_of + quarantined_later
