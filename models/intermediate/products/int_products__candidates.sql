{#- The products that a rule proposes to a customer, without what he has already. `place` orders the proposals of one
    rule for one customer and is unique within them; what is numbered beyond the list's length can't get into it and
    isn't kept (at 10 M orders 33 M proposals become 9 M). -#}
-- sqlfluff:indentation:template_blocks_indent:false
with customer_products as (

    select * from {{ ref('int_products__customer_products') }}

),

last_bought as (

    select * from {{ ref('int_products__last_bought') }}

),

recommendable as (

    select * from {{ ref('int_products__recommendable') }}

),

products as (

    select * from {{ ref('products') }}

),

product_repurchase as (

    select * from {{ ref('product_repurchase') }}

),

product_affinity as (

    select * from {{ ref('product_affinity') }}

),

due as (

    select
        customer_products.customer_key,
        customer_products.product_key,
        customer_products.purchase_days,
        customer_products.quantity,
        customer_products.last_order_date
    from customer_products
    inner join recommendable
        on customer_products.product_key = recommendable.product_key
    inner join product_repurchase
        on customer_products.product_key = product_repurchase.product_key
    where
        recommendable.is_consumable
        and {{ days_between('customer_products.last_order_date', as_of_date()) }}
        >= product_repurchase.typical_interval_days
        -- whoever let several intervals pass has given it up: a reminder years later is a wrong mail
        and {{ days_between('customer_products.last_order_date', as_of_date()) }}
        <= product_repurchase.typical_interval_days * {{ var('recommend_due_intervals') }}
        -- what is used up may come again, but not at once
        and {{ days_between('customer_products.last_order_date', as_of_date()) }}
        > {{ var('recommend_not_within_days') }}

),

-- Numbered by a rank, here and below: DuckDB would make a row number up to a limit into heaps that it can't spill.
replenish_due as (

    select
        customer_key,
        product_key,
        1 as reason_order,
        'replenish_due' as reason,
        product_key as because_product_key,
        last_order_date as last_bought_date,
        rank() over (
            partition by customer_key
            order by purchase_days desc, quantity desc, product_key asc
        ) as place
    from due

),

-- the one product that stands for what was last bought
last_products as (

    select
        last_bought.customer_key,
        last_bought.product_key,
        products.brand,
        products.category
    from last_bought
    inner join products
        on last_bought.product_key = products.product_key
    where last_bought.place = 1

),
{% for shelf in ['brand', 'category'] %}
newest_of_{{ shelf }} as (

    select
        product_key,
        {{ shelf }},
        row_number() over (partition by {{ shelf }} order by launched_at desc, product_key asc) as place
    from recommendable
    where {{ shelf }} is not null and launched_at is not null

),

newest_in_{{ shelf }} as (

    select
        last_products.customer_key,
        newest_of_{{ shelf }}.product_key,
        {{ loop.index + 1 }} as reason_order,
        'newest_in_{{ shelf }}' as reason,
        last_products.product_key as because_product_key,
        cast(null as date) as last_bought_date,
        newest_of_{{ shelf }}.place
    from last_products
    inner join newest_of_{{ shelf }}
        on last_products.{{ shelf }} = newest_of_{{ shelf }}.{{ shelf }}
    left join customer_products
        on
            last_products.customer_key = customer_products.customer_key
            and newest_of_{{ shelf }}.product_key = customer_products.product_key
    where
        newest_of_{{ shelf }}.place <= {{ var('recommend_newest_of') }}
        and customer_products.product_key is null

),
{% endfor %}
-- Lift up to 1: bought together no more often than by chance. `strength` numbers the pairs of all products, the best
-- first: what a customer is proposed is compared and sorted by one number.
partners as (

    select
        product_affinity.product_key,
        product_affinity.other_product_key,
        product_affinity.confidence,
        product_affinity.lift,
        row_number() over (
            partition by product_affinity.product_key
            order by
                product_affinity.confidence desc,
                product_affinity.lift desc,
                product_affinity.other_product_key asc
        ) as place,
        row_number() over (
            order by
                product_affinity.confidence desc,
                product_affinity.lift desc,
                product_affinity.other_product_key asc,
                product_affinity.product_key asc
        ) as strength
    from product_affinity
    inner join recommendable
        on product_affinity.other_product_key = recommendable.product_key
    where product_affinity.lift > 1

),

-- a partner of several products last bought is proposed once, for the one that it goes with best
proposed_partners as (

    select
        last_bought.customer_key,
        partners.other_product_key as product_key,
        min(partners.strength) as strength
    from last_bought
    inner join partners
        on last_bought.product_key = partners.product_key
    where partners.place <= {{ var('recommend_partners') }}
    group by last_bought.customer_key, partners.other_product_key

),

-- anything but what is used up is no news to a customer who has it
new_partners as (

    select
        proposed_partners.customer_key,
        proposed_partners.strength,
        rank() over (
            partition by proposed_partners.customer_key
            order by proposed_partners.strength asc
        ) as place
    from proposed_partners
    left join customer_products
        on
            proposed_partners.customer_key = customer_products.customer_key
            and proposed_partners.product_key = customer_products.product_key
    where customer_products.product_key is null

),

best_partners as (

    select * from new_partners
    where place <= {{ var('recommendations_per_customer') }}

),

bought_together as (

    select
        best_partners.customer_key,
        partners.other_product_key as product_key,
        4 as reason_order,
        'bought_together' as reason,
        partners.product_key as because_product_key,
        cast(null as date) as last_bought_date,
        best_partners.place
    from best_partners
    inner join partners
        on best_partners.strength = partners.strength

),

candidates as (

    select * from replenish_due
    where place <= {{ var('recommendations_per_customer') }}
    union all
    select * from newest_in_brand
    union all
    select * from newest_in_category
    union all
    select * from bought_together

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(product_key as {{ type_string() }}) as product_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(reason_order as integer) as reason_order,
        cast(place as bigint) as place,
        cast(because_product_key as {{ type_string() }}) as because_product_key,
        cast(last_bought_date as date) as last_bought_date
    from candidates

)

select * from final
