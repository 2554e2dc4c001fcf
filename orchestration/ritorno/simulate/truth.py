"""What really happened, for tests: never read by a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ritorno.simulate import columns as c
from ritorno.simulate.clock import DAY
from ritorno.simulate.columns import NEVER, Floats, Ints
from ritorno.simulate.orders import Sales
from ritorno.simulate.people import ROLES, People, Profiles
from ritorno.simulate.purchases import CAMPAIGN, ORGANIC, SAME_DAY, SUBSCRIPTION, Assignments, Organic
from ritorno.simulate.shop import ARMS, CONVERSION_DAYS, COUNTRIES, CURRENCIES, Shop


@dataclass
class Totals:
    """Sums over the chunks, by campaign and arm."""

    assigned: Ints
    organic: Ints
    extra: Ints
    converted: Ints

    @classmethod
    def of(cls, shop: Shop) -> Totals:
        """Nothing yet."""
        shape = (shop.campaigns.started, len(ARMS))
        return cls(*(np.zeros(shape, dtype=np.int64) for _ in range(4)))

    def add(self, shop: Shop, people: People, assigned: Assignments, sales: Sales) -> None:
        """Count a chunk's assignments, and who ordered within the window with or without the campaign's doing."""
        caused = assigned.extra != NEVER
        bought = sales.bought
        counts = sales.valid & (bought.person >= 0) & (bought.kind != CAMPAIGN)
        anyway = np.zeros(len(caused), dtype=np.bool_)
        for k in range(shop.campaigns.started):
            mine = np.flatnonzero(assigned.campaign == k)
            if len(mine):
                began = assigned.instant[mine[0]]
                window = counts & (bought.instant >= began) & (bought.instant < began + CONVERSION_DAYS * DAY)
                active = np.zeros(people.n, dtype=np.bool_)
                active[bought.person[window]] = True
                anyway[mine] = active[assigned.person[mine]]
        for total, which in (
            (self.assigned, np.ones(len(caused), dtype=np.bool_)),
            (self.organic, anyway),
            (self.extra, caused),
            (self.converted, anyway | caused),
        ):
            np.add.at(total, (assigned.campaign[which], assigned.arm[which]), 1)

    def campaigns(self, shop: Shop) -> dict[str, Any]:
        """One row per campaign and arm: the parameter, and what it did to these people."""
        shape = self.assigned.shape
        campaign, arm = (x.ravel() for x in np.indices(shape))
        without = self.organic.sum(axis=1, keepdims=True) / np.maximum(self.assigned.sum(axis=1, keepdims=True), 1)
        extra: Floats = shop.campaigns.extra
        return {
            "campaign_id": c.numbered("camp-", campaign, 3),
            "arm": c.pick(ARMS, arm),
            "window_days": pa.array(np.full(len(arm), CONVERSION_DAYS)),
            "assigned": pa.array(self.assigned.ravel()),
            "organic_converters": pa.array(self.organic.ravel()),
            "extra_orders": pa.array(self.extra.ravel()),
            "converters": pa.array(self.converted.ravel()),
            "true_extra_orders_per_assigned": pa.array(extra.ravel()),
            "true_conversion_uplift": pa.array((extra * (1 - without)).ravel()),
        }


def persons(shop: Shop, people: People, found: Organic, sales: Sales) -> dict[str, Any]:
    """One row per person or company: the parameters of the process and what came of it."""
    bought = sales.bought
    known = bought.person >= 0

    def count(*kinds: int) -> pa.Array:
        return pa.array(np.bincount(bought.person[known & np.isin(bought.kind, kinds)], minlength=people.n))

    valid = known & sales.valid
    first = np.full(people.n, np.iinfo(np.int64).max)
    last = np.full(people.n, NEVER)
    np.minimum.at(first, bought.person[valid], bought.instant[valid])
    np.maximum.at(last, bought.person[valid], bought.instant[valid])
    buys = people.buys
    return {
        "person_id": c.numbered("h-", people.number, 9),
        "role": c.pick(ROLES, people.role),
        "country": c.pick(COUNTRIES, people.country),
        "currency": c.pick(CURRENCIES, people.currency),
        "buying_rate_per_week": pa.array(people.rate, mask=~buys),
        "dropout_probability": pa.array(people.dropout, mask=~buys),
        "dropped_out_at": c.instants(np.where(buys, found.left_at, NEVER)),
        "left_over_care": c.flags(found.left_over_care),
        "is_alive": c.flags(found.left_at == NEVER, buys),
        "organic_orders": count(ORGANIC),
        "same_day_orders": count(SAME_DAY),
        "campaign_orders": count(CAMPAIGN),
        "subscription_orders": count(SUBSCRIPTION),
        "valid_orders": pa.array(np.bincount(bought.person[valid], minlength=people.n)),
        "first_valid_order_at": c.instants(np.where(first == np.iinfo(np.int64).max, NEVER, first)),
        "last_valid_order_at": c.instants(last),
        "has_subscription": c.flags(people.subscriber),
    }


def nodes(people: People, profiles: Profiles, sales: Sales, contacts: Ints) -> dict[str, Any]:
    """Which source row is whom: accounts, CRM contacts, and orders given as a guest."""
    accounts = np.flatnonzero(profiles.account)
    guests = np.flatnonzero(sales.bought.guest & (sales.bought.person >= 0))
    person = np.concatenate([profiles.person[accounts], profiles.person[contacts], sales.bought.person[guests]])
    entity = np.repeat([0, 1, 2], [len(accounts), len(contacts), len(guests)])
    source = pa.concat_arrays(
        [
            profiles.account_id(accounts),
            c.numbered("k-", people.number[profiles.person[contacts]], 9),
            sales.ids.take(pa.array(guests)),
        ]
    )
    return {
        "person_id": c.numbered("h-", people.number[person], 9),
        "entity": c.pick(("customers", "crm_contacts", "orders"), entity),
        "source_id": source,
    }
