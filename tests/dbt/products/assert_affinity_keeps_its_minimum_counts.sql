-- Rare products and rare pairs are chance: none of them is shown.
select
    product_key,
    other_product_key
from {{ ref('product_affinity') }}
where
    pair_orders < {{ var('affinity_min_pair_orders') }}
    or product_orders < {{ var('affinity_min_product_orders') }}
