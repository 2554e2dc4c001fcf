"""Who is who, written a second time from METRICS.md (Identity), with loops over raw rows and no library of ours.

Phones are looked up in a table of spellings, so that nothing of phonenumbers is trusted either.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

Row = Mapping[str, Any]
Node = tuple[str, str]  # entity, source id

PHONES: Mapping[str, str | None] = {
    "030 1234567": "+49301234567",
    "+49 (30) 123-4567": "+49301234567",
    "0049301234567": "+49301234567",
    "0171 7654321": "+491717654321",
    "+491717654321": "+491717654321",
    "+43 1 5134567": "+4315134567",
    "n/a": None,
    "12": None,
    "000000": None,
}
STRENGTH = ["override", "explicit", "company", "email", "phone"]


def email_value(raw: str | None) -> str | None:
    if raw is None or "@" not in raw:
        return None
    return unicodedata.normalize("NFC", raw.strip().lower())


def phone_value(raw: str | None) -> str | None:
    return None if raw is None else PHONES[raw]


def node_key(node: Node) -> str:
    return hashlib.md5(f"files|{node[0]}|{node[1]}".encode()).hexdigest()


def order_node(order: Row) -> Node | None:
    if order.get("customer_id"):
        return ("account", order["customer_id"])
    email, phone = email_value(order.get("email")), phone_value(order.get("phone"))
    return ("guest", f"{email or ''}|{phone or ''}") if email or phone else None


def event_node(entity: str, row: Row) -> Node | None:
    if row.get("customer_id"):
        return (entity, row["customer_id"])
    email = email_value(row.get("email"))
    return (entity, email) if email else None


class People:
    """Nodes and edges of one set of raw rows."""

    def __init__(self, raw: Mapping[str, Sequence[Row]], most: int) -> None:
        self.seen: dict[Node, list[str]] = defaultdict(list)
        self.values: dict[tuple[str, str], set[Node]] = defaultdict(set)
        self.account_of: dict[Node, Node] = {}
        self.order_nodes: dict[str, Node | None] = {}
        stated: dict[Node, list[tuple[bool, str, str]]] = defaultdict(list)
        companies: dict[Node, str] = {}

        def note(node: Node, row: Row, seen: str | None) -> None:
            self.seen[node] += [seen] if seen else []
            if email := email_value(row.get("email")):
                self.values["email", email].add(node)
            if phone := phone_value(row.get("phone")):
                self.values["phone", phone].add(node)
            if row.get("company") and row.get("country"):
                companies[node] = f"{row['company'].strip().lower()}|{row['country'].strip().lower()}"
            if row.get("account_type"):
                master = node[0] == "account" and "ordered_at" not in row
                stated[node].append((master, row.get("updated_at") or seen or "", row["account_type"]))
            if node[0] in ("contact", "member", "subscriber") and row.get("customer_id"):
                account = ("account", row["customer_id"])
                self.account_of[node] = account
                self.seen[account] += []

        for row in raw.get("orders", ()):
            node = self.order_nodes[row["order_id"]] = order_node(row)
            if node:
                note(node, row, row["ordered_at"])
        for row in raw.get("customers", ()):
            note(("account", row["customer_id"]), row, row.get("created_at"))
        for row in raw.get("crm_contacts", ()):
            note(("contact", row["contact_id"]), row, row.get("created_at"))
        for row in raw.get("loyalty_events", ()):
            if node := event_node("member", row):
                note(node, row, row["occurred_at"])
        for row in raw.get("subscriptions", ()):
            if node := event_node("subscriber", row):
                note(node, row, row.get("started_at"))

        own = {node: max(said)[2] for node, said in stated.items()}
        business = {companies[node] for node, kind in own.items() if kind == "b2b" and node in companies}
        self.kind: dict[Node, str] = {}
        for node in self.seen:
            if node in own:
                self.kind[node] = own[node]
            elif node in self.account_of:
                self.kind[node] = own.get(self.account_of[node], "b2c")
            elif node[0] == "contact" and companies.get(node) in business:
                self.kind[node] = "b2b"
            else:
                self.kind[node] = "b2c"
        for node, company in companies.items():
            if self.kind[node] == "b2b":
                self.values["company", company].add(node)
        self.shared = {value for value, nodes in self.values.items() if len(nodes) > most}
        self.same, self.different = self._overrides(raw.get("identity_overrides", ()))

    def age(self, node: Node) -> tuple[bool, str, str, str]:
        first = min(self.seen[node], default=None)
        return (first is None, first or "", *node)

    def named(self, given: str) -> Node | None:
        for entity in ("account", "contact", "member", "subscriber"):
            if (entity, given) in self.seen and "@" not in given:
                return (entity, given)
        return next((node for node in self.seen if node_key(node) == given), None)

    def _overrides(self, rows: Sequence[Row]) -> tuple[set[frozenset[Node]], set[frozenset[Node]]]:
        same, different = set(), set()
        for row in rows:
            left, right = self.named(row["left_id"]), self.named(row["right_id"])
            if left and right and left != right:
                (same if row["same_person"] else different).add(frozenset((left, right)))
        return same - different, different

    def edges(self) -> list[tuple[str, Node, Node]]:
        found = [("explicit", node, account) for node, account in self.account_of.items()]
        found += [("override", *pair) for pair in self.same]
        for (kind, value), nodes in self.values.items():
            if (kind, value) in self.shared:
                continue
            wanted = "b2b" if kind == "company" else "b2c"
            found += [(kind, *pair) for pair in combinations([n for n in nodes if self.kind[n] == wanted], 2)]
        return [edge for edge in found if frozenset(edge[1:]) not in self.different]

    def customers(self) -> dict[Node, Node]:
        """Each node's customer, by its oldest node: edges one by one, none that would join what a `false` parts."""
        part = {node: {node} for node in self.seen}

        def order(edge: tuple[str, Node, Node]) -> tuple[Any, ...]:
            older, newer = sorted((self.age(edge[1]), self.age(edge[2])))
            return (STRENGTH.index(edge[0]), older, newer)

        for _, one, other in sorted(self.edges(), key=order):
            together = part[one] | part[other]
            if not any(pair <= together for pair in self.different):
                for node in together:
                    part[node] = together
        return {node: min(nodes, key=self.age) for node, nodes in part.items()}


def keys(raw: Mapping[str, Sequence[Row]], most: int) -> dict[str, str]:
    """Node key → customer key."""
    return {node_key(node): node_key(oldest) for node, oldest in People(raw, most).customers().items()}


def order_keys(raw: Mapping[str, Sequence[Row]], most: int) -> dict[str, str | None]:
    """Order → customer key."""
    people = People(raw, most)
    customers = people.customers()
    return {order: node_key(customers[node]) if node else None for order, node in people.order_nodes.items()}
