"""What the tables say agrees with itself and with the truth."""

# ruff: noqa: E501  a query on one line reads better than one broken in three

import math
from datetime import date
from decimal import Decimal

import phonenumbers
import pytest

from ritorno.simulate.columns import contract

CURRENT = """
    select * from {table}
    qualify row_number() over (partition by {key} order by updated_at desc) = 1
"""


@pytest.fixture(scope="module")
def shop(clean):
    """The clean shop with current versions as current_<table>."""
    for table, key in (("orders", "order_id"), ("order_items", "order_item_id"), ("customers", "customer_id")):
        clean.con.execute(f"create or replace view current_{table} as {CURRENT.format(table=table, key=key)}")
    return clean


def test_totals_are_the_lines_less_discounts_plus_shipping_and_tax_to_the_cent(shop):
    wrong = shop.rows(
        """
        with lines as (
            select order_id, sum(quantity * unit_price - discount) as goods from current_order_items group by 1
        )
        select o.order_id, o.total, l.goods from current_orders as o inner join lines as l using (order_id)
        where o.total <> l.goods - o.discount + o.shipping + o.tax
        """
    )
    assert wrong == []
    assert shop.one("select count(*) from current_orders where order_id not in (select order_id from order_items)") > 0


def test_tax_is_the_countrys_rate_on_goods_and_shipping(shop):
    shares = shop.rows(
        """
        select distinct round(tax / (total - tax), 2) from current_orders
        where total - tax > 100
        """
    )
    assert {float(s[0]) for s in shares} == {0.19, 0.2, 0.08, 0.07, 0.21}


def test_no_refund_exceeds_its_order_and_money_moves_in_one_direction(shop):
    assert (
        shop.one(
            """
        select count(*) from (
            select r.order_id, sum(r.amount) as back, any_value(o.total) as total
            from refunds as r inner join current_orders as o using (order_id) group by 1
        ) where back > total
        """
        )
        == 0
    )
    assert shop.one("select count(*) from refunds where amount <= 0") == 0
    assert shop.one("select count(*) from refunds where order_id is null") > 0


def test_paid_orders_are_paid_in_full_and_unpaid_ones_by_nothing(shop):
    shop.con.execute(
        """
        create or replace temp table paid as
        select order_id, bool_or(kind in ('sale', 'capture') and coalesce(status, 'success') = 'success') as is_paid,
            count(*) filter (kind in ('sale', 'capture') and coalesce(status, 'success') = 'success') as times
        from payments group by 1
        """
    )
    kinds = dict(
        shop.rows(
            "select t.kind, count(*) from truth_orders as t join paid using (order_id) where not is_paid group by 1"
        )
    )
    assert set(kinds) == {"unpaid"}
    assert (
        shop.one("select count(*) from truth_orders join paid using (order_id) where kind = 'unpaid' and is_paid") == 0
    )
    assert shop.one("select count(*) from paid where times > 1") > 0


def test_every_child_row_has_its_parent(shop):
    for name, table in contract().items():
        if table.parent:
            column, parent = table.parent
            lost = f"select count(*) from {name} where {column} not in (select {column} from {parent})"
            assert shop.one(lost) == 0, name
    for name, table in contract().items():
        for column, parent, key in (
            ("customer_id", "customers", "customer_id"), ("product_id", "products", "product_id"),
            ("order_id", "orders", "order_id"), ("campaign_id", "campaigns", "campaign_id"),
            ("plan_id", "plans", "plan_id"), ("referrer_id", "customers", "customer_id"),
            ("subscription_id", "subscriptions", "subscription_id"), ("order_item_id", "order_items", "order_item_id"),
        ):  # fmt: skip
            if column in table.column_names and name != parent:
                lost = f"select count(*) from {name} where {column} not in (select {key} from {parent})"
                assert shop.one(lost) == 0, (name, column)


def test_time_runs_forward(shop):
    never = {
        "refunds before their order": "refunds r join current_orders o using (order_id) where r.refunded_at < o.ordered_at",
        "payments before their order": "payments p join current_orders o using (order_id) where p.paid_at < o.ordered_at",
        "orders before their account": "current_orders o join current_customers c using (customer_id) where o.ordered_at < c.created_at",
        "cancelled before ordered": "current_orders where cancelled_at < ordered_at",
        "written before ordered": "orders where updated_at < ordered_at",
        "deleted before ordered": "current_orders where deleted_at < ordered_at",
        "answered before opened": "support_tickets where first_response_at < opened_at or resolved_at < first_response_at",
        "loyalty before the order": "loyalty_events l join current_orders o using (order_id) where l.occurred_at < o.ordered_at",
        "sold before launch": "current_order_items i join current_orders o using (order_id) join products p using (product_id) where p.launched_at > o.ordered_at and o.subscription_id is null",
        "events before the start": "subscription_events e join subscriptions s using (subscription_id) where e.occurred_at < s.started_at",
        "ended before started": "subscriptions where ended_at < started_at",
        "sent before assigned": "interactions i join campaign_assignments a using (campaign_id, customer_id) where i.occurred_at < a.assigned_at",
    }
    for what, query in never.items():
        assert shop.one(f"select count(*) from {query}") == 0, what


def test_nothing_happens_after_the_end(shop):
    last = "timestamp '2026-03-31 22:00:00'"  # midnight in Berlin
    for name, table in contract().items():
        for column in table.columns:
            if column.data_type == "timestamp" and column.name not in (
                "expires_at",
                "effective_at",
                "pause_end",
                "cancel_at",
                "trial_end",
                "ended_at",
                "discount_ends_at",
            ):
                if name == "campaigns":
                    continue
                assert shop.one(f"select count(*) from {name} where {column.name} >= {last}") == 0, (name, column.name)


def test_rows_come_late_in_versions_and_deleted(shop):
    assert shop.one("select count(*) from (select 1 from orders group by order_id having count(*) > 1)") > 50
    assert shop.one("select count(*) from (select 1 from order_items group by order_item_id having count(*) > 1)") > 10
    assert shop.one("select count(*) from current_orders where deleted_at is not null") > 5
    assert shop.one("select count(*) from current_orders where cancelled_at > ordered_at + interval 7 day") > 10
    late = shop.one(
        f"select count(*) from read_parquet('{shop.report.raw}/orders/*.parquet', filename = true) "
        "where strftime(ordered_at, '%Y-%m') < regexp_extract(filename, '([0-9-]{7})[.]parquet', 1)"
    )
    assert late > 50


def test_the_truth_knows_every_order_and_whether_it_counts(shop):
    assert shop.one("select count(*) from truth_orders") == shop.one("select count(distinct order_id) from orders")
    wrong = shop.rows(
        """
        select t.kind, count(*) from truth_orders as t inner join current_orders as o using (order_id)
        left join paid on paid.order_id = o.order_id
        where t.is_valid <> not (
            o.deleted_at is not null or o.is_test or o.cancelled_at is not null or o.total < 0
            or coalesce(lower(trim(o.status)) in ('cancelled', 'void', 'failed', 'draft'), false)
            or coalesce(not paid.is_paid, false)
        ) group by 1
        """
    )
    assert wrong == []


def test_the_truths_counts_per_person_are_those_of_the_orders(shop):
    wrong = shop.one(
        """
        with counted as (
            select person_id, count(*) as n, min(ordered_at) as first_at, max(ordered_at) as last_at
            from truth_orders where is_valid group by 1
        )
        select count(*) from truth_persons as p left join counted as c using (person_id)
        where coalesce(c.n, 0) <> p.valid_orders or c.first_at is distinct from p.first_valid_order_at
            or c.last_at is distinct from p.last_valid_order_at
        """
    )
    assert wrong == 0
    assert shop.one("select count(*) from truth_persons") == shop.report.persons
    mean = shop.one("select avg(valid_orders) from truth_persons where buying_rate_per_week is not null")
    assert 3 < mean < 10


def test_nobody_orders_by_themselves_after_dropping_out(shop):
    query = """
        select count(*) from truth_orders as t inner join truth_persons as p using (person_id)
        where t.kind = 'organic' and t.ordered_at > p.dropped_out_at
    """
    assert shop.one(query) == 0
    assert shop.one("select count(*) from truth_persons where is_alive <> (dropped_out_at is null)") == 0


def test_nodes_name_real_rows_and_every_known_order_leads_to_its_person(shop):
    for entity, table, key in (
        ("customers", "customers", "customer_id"),
        ("crm_contacts", "crm_contacts", "contact_id"),
        ("orders", "orders", "order_id"),
    ):
        lost = f"select count(*) from truth_nodes where entity = '{entity}' and source_id not in (select {key} from {table})"
        assert shop.one(lost) == 0
    assert shop.one("select count(*) from customers where customer_id not in (select source_id from truth_nodes)") == 0
    wrong = """
        select count(*) from current_orders as o inner join truth_orders as t using (order_id)
        inner join truth_nodes as n on n.entity = 'customers' and n.source_id = o.customer_id
        where n.person_id <> t.person_id
    """
    assert shop.one(wrong) == 0
    anonymous = "select count(*) from current_orders where customer_id is null and email is null and phone is null"
    assert shop.one(anonymous) == shop.one("select count(*) from truth_orders where person_id is null") > 0


def joined(shop) -> dict[str, str]:
    """Persons by node as METRICS.md joins them: a plain union-find over addresses, ids and overrides."""
    import unicodedata

    parent: dict[str, str] = {}

    def find(x: str) -> str:
        parent.setdefault(x, x)
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    def mail(value: str) -> str:
        return unicodedata.normalize("NFC", value.strip().lower())

    def phone(value: str) -> str:
        return phonenumbers.format_number(phonenumbers.parse(value, "DE"), phonenumbers.PhoneNumberFormat.E164)

    holders: dict[str, set[str]] = {}
    apart = {frozenset(r) for r in shop.rows("select left_id, right_id from identity_overrides where not same_person")}
    for node, m, p in shop.rows(
        """
        select customer_id, email, phone from current_customers where account_type = 'b2c'
        union all select contact_id, email, phone from crm_contacts where company is null
        union all select 'g:' || coalesce(email, '') || '|' || coalesce(phone, ''), email, phone from current_orders
        where customer_id is null and account_type = 'b2c' and (email is not null or phone is not null)
        """
    ):
        if node.startswith("g:"):
            node = f"g:{mail(m or '')}|{phone(p) if p else ''}"
        find(node)
        for value in ([f"m:{mail(m)}"] if m else []) + ([f"p:{phone(p)}"] if p else []):
            holders.setdefault(value, set()).add(node)
    edges = [sorted(nodes) for nodes in holders.values() if 1 < len(nodes) <= 10]
    edges += [
        list(r) for r in shop.rows("select contact_id, customer_id from crm_contacts where customer_id is not null")
    ]
    edges += [list(r) for r in shop.rows("select left_id, right_id from identity_overrides where same_person")]
    for nodes in edges:
        for i, a in enumerate(nodes):
            for b in nodes[i + 1 :]:
                if frozenset((a, b)) not in apart:
                    parent[find(a)] = find(b)
    return {node: find(node) for node in parent}


def test_the_rules_of_identity_find_the_true_persons(shop):
    component = joined(shop)
    truth = dict(
        shop.rows(
            """
            select source_id, person_id from truth_nodes inner join truth_persons using (person_id)
            where role <> 'business' and entity <> 'orders'
            """
        )
    )
    by_person: dict[str, set[str]] = {}
    by_component: dict[str, set[str]] = {}
    for source, person in truth.items():
        by_person.setdefault(person, set()).add(component[source])
        by_component.setdefault(component[source], set()).add(person)
    assert [p for p, found in by_person.items() if len(found) > 1] == []
    assert [c for c, found in by_component.items() if len(found) > 1] == []


def test_phones_are_valid_and_addresses_fictitious(shop):
    phones = shop.rows("select distinct phone from orders where phone is not null")
    assert len(phones) > 100
    for (value,) in phones:
        assert phonenumbers.is_valid_number(phonenumbers.parse(value, "DE")), value
    strange = "select count(*) from customers where not regexp_matches(lower(trim(email)), 'example[.](com|org|net)$')"
    assert shop.one(strange) == 0


def test_three_currencies_have_a_rate_at_most_seven_days_old_for_every_order(shop):
    assert shop.one("select count(distinct currency) from orders") == 3
    assert shop.one("select count(*) from exchange_rates where from_currency = 'EUR'") > 0  # an inverse pair
    assert (
        shop.one(
            """
        with rates as (
            select date, case when to_currency = 'EUR' then from_currency else to_currency end as currency from exchange_rates
        ),
        last as (
            select o.order_id, date_diff('day', max(r.date), cast(any_value(o.ordered_at) as date)) as age
            from orders as o inner join rates as r on r.currency = o.currency and r.date <= cast(o.ordered_at as date)
            group by 1
        )
        select count(*) from (
            select order_id from orders where currency <> 'EUR' except select order_id from last where age <= 6
        )
        """
        )
        == 0
    )
    days = shop.one("select max(date) - min(date) + 1 from exchange_rates")
    assert shop.one("select count(distinct date) from exchange_rates where from_currency = 'GBP'") < days


def test_the_loyalty_ledger_never_goes_below_zero_and_reverses_only_what_is_there(shop):
    running = """
        select min(balance) from (
            select sum(points) over (partition by customer_id order by occurred_at, points desc) as balance from loyalty_events
        )
    """
    assert shop.one(running) >= 0
    kinds = {row[0] for row in shop.rows("select distinct type from loyalty_events")}
    assert kinds == {"earn", "redeem", "expire", "adjust", "reverse"}


def test_loyalty_points_expire_as_a_ledger_of_lots_says(shop):
    """Replays every member with explicit lots, oldest first."""
    events = shop.rows(
        "select customer_id, type, points, epoch(occurred_at), epoch(expires_at), order_id from loyalty_events "
        "order by customer_id, occurred_at, event_id"
    )
    lots: dict[str, list[list]] = {}
    for member, kind, points, at, expires, order in events:
        mine = lots.setdefault(member, [])
        if kind in ("earn", "adjust"):
            mine.append([expires, points, order, kind])
        elif kind == "reverse":
            lot = next(x for x in mine if x[2] == order and x[3] == "earn")
            assert lot[1] == -points
            lot[1] = 0
        elif kind == "redeem":
            left = -points
            for lot in mine:
                used = min(lot[1], left)
                lot[1] -= used
                left -= used
            assert left == 0
        else:
            gone = sum(lot[1] for lot in mine if lot[0] <= at)
            assert gone >= -points
            left = -points
            for lot in mine:
                if lot[0] <= at:
                    used = min(lot[1], left)
                    lot[1] -= used
                    left -= used
            assert left == 0
    end = 1_774_994_400
    assert sum(lot[1] for mine in lots.values() for lot in mine if lot[0] <= end) == 0


def state_after(events: list[tuple]) -> str:
    state = "none"
    for kind, *_ in events:
        state = {
            "trial_started": "trialing", "activated": "active", "paused": "paused", "resumed": "active",
            "payment_failed": "past_due", "payment_recovered": "active", "cancelled": "cancelled",
            "expired": "expired", "reactivated": "active",
        }.get(kind, state)  # fmt: skip
    return state


ALLOWED = {
    "created": {"none"}, "trial_started": {"none"}, "activated": {"none", "trialing"}, "renewed": {"active"},
    "plan_changed": {"active"}, "price_changed": {"active"}, "quantity_changed": {"active"}, "skipped": {"active"},
    "pause_scheduled": {"active"}, "paused": {"active"}, "resumed": {"paused"}, "payment_failed": {"active"},
    "payment_recovered": {"past_due"}, "cancel_scheduled": {"active"},
    "cancelled": {"active", "trialing", "past_due", "paused"}, "expired": {"active"}, "reactivated": {"cancelled", "expired"},
    "discount_changed": {"active"},
}  # fmt: skip


def test_the_subscription_log_has_no_impossible_event_and_ends_in_todays_table(shop):
    logs: dict[str, list[tuple]] = {}
    for sub, *event in shop.rows(
        "select subscription_id, type, occurred_at, sequence, plan_id, price, quantity from subscription_events "
        "order by subscription_id, occurred_at, sequence"
    ):
        logs.setdefault(sub, []).append(tuple(event))
    today = {
        r[0]: r[1:] for r in shop.rows("select subscription_id, status, plan_id, price, quantity from subscriptions")
    }
    assert set(logs) == set(today)
    for sub, events in logs.items():
        for k, (kind, *_) in enumerate(events):
            assert state_after(events[:k]) in ALLOWED[kind], (sub, events)
        assert (state_after(events), *events[-1][3:]) == today[sub]
    kinds = {e[0] for events in logs.values() for e in events}
    assert kinds == set(ALLOWED)


def test_a_coupon_is_in_the_log_in_todays_table_while_it_lasts_and_in_the_truth(shop):
    columns = "discount_percent, discount_amount, discount_duration"
    words = {
        sub: word
        for sub, *word in shop.rows(
            f"select subscription_id, {columns}, discount_ends_at from subscription_events "
            "where discount_duration is not null order by subscription_id, sequence"
        )
    }
    assert {word[2] for word in words.values()} == {"months", "forever", "once", "none"}
    truth = dict(shop.rows("select subscription_id, coupon from truth_subscriptions where coupon is not null"))
    assert set(truth) == set(words)
    last = shop.one("select max(occurred_at) from subscription_events")
    for sub, *coupon, ends in shop.rows(f"select subscription_id, {columns}, discount_ends_at from subscriptions"):
        word = words.get(sub)
        is_over = word is None or word[2] == "none" or (word[2] == "months" and word[3] <= last)
        assert (coupon, ends) == (([None] * 3, None) if is_over else (word[:3], word[3])), sub


def test_an_invoice_is_less_by_the_coupon_of_its_time_and_by_nothing_else(shop):
    billed = shop.rows("""
        with said as (
            select *,
                last_value(discount_duration ignore nulls) over w as duration,
                last_value(coalesce(discount_percent, 0) + 0 * length(discount_duration) ignore nulls) over w as per_cent,
                last_value(case when discount_duration is not null then coalesce(discount_amount, 0) end ignore nulls)
                    over w as amount,
                last_value(case when discount_duration is not null then coalesce(discount_ends_at, 'infinity') end
                    ignore nulls) over w as ends
            from subscription_events
            window w as (partition by subscription_id order by sequence rows unbounded preceding)
        ),
        bills as (
            select *, row_number() over (partition by subscription_id order by sequence) as nth
            from said where type in ('activated', 'renewed', 'payment_recovered', 'resumed', 'reactivated')
        ),
        paid as (
            select o.subscription_id, i.unit_price,
                row_number() over (partition by o.subscription_id order by o.ordered_at, o.order_id) as nth
            from orders o join order_items i using (order_id) where o.subscription_id is not null
        )
        select b.price, b.quantity, b.duration, b.per_cent, b.amount, b.occurred_at < b.ends, b.nth, p.unit_price
        from bills b join paid p using (subscription_id, nth)
    """)
    assert len(billed) > 300
    lower = 0
    for price, quantity, duration, per_cent, amount, is_on, nth, paid in billed:
        holds = duration not in (None, "none") and is_on and (duration != "once" or nth == 1)
        less = int(price * per_cent) / Decimal(100) + amount / max(quantity, 1) if holds else 0
        assert abs(paid - max(price - less, 0)) <= Decimal("0.01"), (price, duration, paid)
        lower += holds
    assert lower > 20


def test_a_subscription_order_follows_each_billing(shop):
    billed = "select count(*) from subscription_events where type in ('activated', 'renewed', 'payment_recovered', 'resumed', 'reactivated')"
    assert shop.one(billed) == shop.one("select count(distinct order_id) from orders where subscription_id is not null")


def test_arms_are_drawn_before_anything_is_sent_and_holdouts_get_nothing(shop):
    assert (
        shop.one(
            "select count(*) from (select 1 from campaign_assignments group by campaign_id, customer_id, email having count(*) > 1)"
        )
        == 0
    )
    sent = """
        select count(*) from interactions as i inner join campaign_assignments as a using (campaign_id, customer_id)
        where a.arm = 'holdout'
    """
    assert shop.one(sent) == 0
    truth = shop.rows("select arm, sum(assigned) from truth_campaigns group by 1")
    assert dict(truth) == dict(shop.rows("select arm, count(*) from campaign_assignments group by 1"))


def test_buyers_are_asked_for_a_review_and_the_disappointed_get_a_reply(shop):
    """Each request comes two to three days after an order of that person, each reply after a review of theirs."""
    requests = """
        select i.event_id, count(o.order_id) as orders
        from interactions as i
        inner join truth_nodes as n on n.entity = 'customers' and i.customer_id = n.source_id
        left join truth_orders as o
            on n.person_id = o.person_id and i.occurred_at between o.ordered_at + interval 2 day and o.ordered_at + interval 3 day
        where i.type = 'review_request'
        group by all
    """
    replies = """
        select i.event_id, count(r.review_id) as reviews, coalesce(min(r.rating) <= 2, false) as low
        from interactions as i
        left join reviews as r
            on coalesce(r.customer_id, r.email) = coalesce(i.customer_id, i.email)
                and i.occurred_at between r.created_at + interval 1 hour and r.created_at + interval 10 day
        where i.type = 'review_reply'
        group by all
    """
    assert shop.one(f"select count(*) from ({requests})") > 1000
    assert shop.one(f"select count(*) from ({requests}) where orders = 0") == 0
    assert shop.one(f"select count(*) from ({replies}) where low") > 10
    assert shop.one(f"select count(*) from ({replies}) where reviews = 0") == 0


def test_campaigns_cause_as_many_extra_orders_as_their_true_uplift(tmp_path):
    import duckdb

    from ritorno.simulate import simulate

    report = simulate(tmp_path, customers=20_000, seed=11, years=2, end=date(2026, 3, 31), dirt=0, format="parquet")
    rows = (
        duckdb.connect()
        .execute(
            f"select assigned, extra_orders, true_extra_orders_per_assigned, converters, organic_converters, true_conversion_uplift "
            f"from '{report.out}/truth/campaigns.parquet'"
        )
        .fetchall()
    )
    for assigned, extra, rate, converters, organic, uplift in rows:
        spread = 4 * math.sqrt(max(rate * (1 - rate) * assigned, 1e-9))
        assert abs(extra - rate * assigned) <= spread
        assert abs((converters - organic) - uplift * assigned) <= spread + 1e-9


def test_seasons_show(shop):
    by_month = dict(
        shop.rows(
            "select month(ordered_at), count(*) from truth_orders where ordered_at < '2026-03-01' and ordered_at >= '2025-03-01' group by 1"
        )
    )
    assert by_month[12] > 1.15 * by_month[8]
    by_hour = dict(shop.rows("select hour(ordered_at), count(*) from truth_orders group by 1"))
    assert by_hour[18] > 5 * by_hour.get(2, 0)


def test_nps_scales_are_kept_and_scores_fit_them(shop):
    assert {tuple(r) for r in shop.rows("select distinct scale_min, scale_max from nps_responses")} == {
        (0, 10),
        (1, 10),
    }
    assert shop.one("select count(*) from nps_responses where score < scale_min or score > scale_max") == 0


def test_referrals_name_oneself_newcomers_and_people_who_are_here(shop):
    oneself = """
        select count(*) from referrals as r inner join current_customers as c on c.customer_id = r.referrer_id
        where lower(c.email) = lower(r.referee_email)
    """
    assert shop.one(oneself) > 0
    here = "referrals as r inner join current_customers as c on lower(c.email) = lower(r.referee_email) where"
    assert shop.one(f"select count(*) from {here} c.created_at < r.invited_at") > 0
    assert shop.one(f"select count(*) from {here} c.created_at > r.invited_at") > 0
