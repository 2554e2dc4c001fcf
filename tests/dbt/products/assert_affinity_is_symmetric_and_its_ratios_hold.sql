-- Both directions of a pair stand there with one support and one lift, and confidence = support of the pair / that
-- of the product. A pair that lacks its mirror, or stands twice, is found as well.
with

affinity as (

    select * from {{ ref('product_affinity') }}

),

mirrors as (

    select
        affinity.product_key,
        affinity.other_product_key,
        count(mirror.product_key) as mirrors,
        max(abs(affinity.support - mirror.support)) as support_difference,
        max(abs(affinity.lift - mirror.lift)) as lift_difference
    from affinity
    left join affinity as mirror
        on
            affinity.product_key = mirror.other_product_key
            and affinity.other_product_key = mirror.product_key
    group by affinity.product_key, affinity.other_product_key

),

final as (

    select
        product_key,
        other_product_key,
        'not exactly one mirror, or another support or lift' as problem
    from mirrors
    where mirrors != 1 or support_difference != 0 or lift_difference != 0
    union all
    select
        product_key,
        other_product_key,
        'impossible counts or ratios' as problem
    from affinity
    where
        product_key = other_product_key
        or pair_orders > product_orders
        or product_orders > baskets
        or abs(confidence - support / product_support) > 1e-9
        or abs(lift - confidence * baskets / other_product_orders) > 1e-9 * lift

)

select * from final
