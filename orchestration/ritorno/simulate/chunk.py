"""One chunk of customers, from their birth to their files."""

from __future__ import annotations

import numpy as np

from ritorno.simulate import crm, loyalty, orders, people, purchases, subscriptions, truth
from ritorno.simulate.shop import Shop
from ritorno.simulate.truth import Totals
from ritorno.simulate.write import Writer


def simulate_chunk(
    rng: np.random.Generator, shop: Shop, chunk: int, base: int, size: int, writer: Writer, totals: Totals
) -> None:
    """Simulate the people base … base + size − 1 and write all their rows."""
    persons = people.make_people(rng, shop, base, size)
    found = purchases.organic(rng, shop, persons)
    first = purchases.first_orders(persons, found)
    profiles = people.make_profiles(rng, shop, persons, first)
    assigned = purchases.assign(rng, shop, persons, first)
    running = subscriptions.make_subscriptions(rng, shop, persons, profiles, first)
    bought = purchases.purchases(rng, shop, persons, profiles, found, assigned, running.renewals)
    sales = orders.make_sales(rng, shop, persons, bought, chunk)
    totals.add(shop, persons, assigned, sales)
    refunds = orders.make_refunds(rng, shop, persons, sales)

    order_rows, item_rows = orders.orders_tables(rng, shop, persons, profiles, sales, refunds, chunk)
    for rows in order_rows:
        writer.add("orders", rows.table, rows.month)
    writer.add("order_items", item_rows.table, item_rows.month)
    refund_rows = orders.refunds_table(persons, profiles, sales, refunds, chunk)
    writer.add("refunds", refund_rows, shop.clock.month_of(refunds.instant))
    payment_rows = orders.payments_table(rng, shop, sales, chunk)
    writer.add("payments", payment_rows.table, payment_rows.month)
    writer.add("customers", people.customers_table(rng, shop, persons, profiles))
    writer.add("identity_overrides", people.overrides_table(shop, persons, profiles))
    contact_rows, contacts = people.contacts_table(rng, shop, persons, profiles)
    writer.add("crm_contacts", contact_rows)
    writer.add("subscriptions", running.table)
    writer.add("subscription_events", running.events)
    for name, table in crm.tables(rng, shop, persons, profiles, found, assigned, sales, chunk).items():
        writer.add(name, table)
    writer.add("loyalty_events", loyalty.ledger(rng, shop, persons, profiles, sales, refunds, chunk))

    writer.truth("persons", truth.persons(shop, persons, found, sales))
    writer.truth("nodes", truth.nodes(persons, profiles, sales, contacts))
    writer.truth("orders", orders.truth_orders(persons, sales))
    writer.truth("subscriptions", running.truth)
