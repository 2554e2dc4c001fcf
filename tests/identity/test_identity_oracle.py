"""The real SQL and step against a plain-Python oracle written from METRICS.md."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.identity import oracle
from tests.identity.warehouse import MOST, Result
from tests.support.examples import many

# No shrinking: an example takes a quarter of a second, and a failing one is short enough to read.
CALM = settings(
    deadline=None,
    max_examples=many(30),
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)

EMAILS = [
    "a@x.de", "A@X.de ", "b@x.de", "rené@x.de", "RENE\u0301@x.de", "c@x.de", "n/a", "d@x.de",
]  # fmt: skip
emails = st.none() | st.sampled_from(EMAILS)
phones = st.none() | st.sampled_from(sorted(oracle.PHONES))
accounts = st.sampled_from(["C1", "C2", "C3", "C4"])
days = st.integers(1, 9).map(lambda day: f"2024-01-0{day} 12:00:00")
kinds = st.sampled_from([None, None, None, "b2c", "b2b"])
companies = st.sampled_from([None, None, "ACME", " acme", "Blech AG"])
countries = st.sampled_from(["DE", "de ", "AT", None])


def rows(key: str | None, **columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    unique_by = (lambda row: row[key]) if key else None
    return st.lists(st.fixed_dictionaries(columns), max_size=5, unique_by=unique_by)


def numbered(prefix: str, key: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: f"{prefix}{number}", **row} for number, row in enumerate(found, start=1)]


@st.composite
def shops(draw: st.DrawFn, overrides: bool = True) -> dict[str, list[dict[str, Any]]]:
    someone = st.none() | accounts
    orders = rows(
        None, ordered_at=days, customer_id=someone, email=emails, phone=phones, account_type=kinds, total=st.just(10)
    )
    names = st.sampled_from(["C1", "C2", "C3", "K1", "K2", "K3", "nobody", oracle.node_key(("guest", "b@x.de|"))])
    loyal = rows(None, occurred_at=days, customer_id=someone, email=emails, points=st.just(1), type=st.just("earn"))
    raw = {
        "orders": numbered("O", "order_id", draw(orders)),
        "customers": draw(
            rows("customer_id", customer_id=accounts, email=emails, phone=phones, created_at=st.none() | days,
                 account_type=kinds, company=companies, country=countries)
        ),
        "crm_contacts": numbered("K", "contact_id", draw(
            rows(None, email=emails, phone=phones, customer_id=someone, company=companies, country=countries,
                 created_at=st.none() | days)
        )),
        "loyalty_events": numbered("L", "event_id", [r for r in draw(loyal) if r["customer_id"] or r["email"]]),
        "subscriptions": numbered("S", "subscription_id", [
            row for row in draw(
                rows(None, started_at=days, customer_id=someone, email=emails, status=st.just("active"))
            ) if row["customer_id"] or row["email"]
        ]),
    }  # fmt: skip
    if overrides:
        raw["identity_overrides"] = draw(
            st.lists(
                st.fixed_dictionaries({"left_id": names, "right_id": names, "same_person": st.booleans()}),
                max_size=4,
                unique_by=lambda row: (row["left_id"], row["right_id"]),
            )
        )
    return raw


@CALM
@given(shops())
def test_every_node_and_order_gets_the_customer_that_the_oracle_says(raw: dict[str, list[dict[str, Any]]]) -> None:
    result = Result(raw)
    assert result.keys == oracle.keys(raw, MOST)
    assert result.orders == oracle.order_keys(raw, MOST)
    assert set(result.customers) == set(result.keys.values())
    for pair in oracle.People(raw, MOST).different:
        one, other = (oracle.node_key(node) for node in pair)
        assert result.keys[one] != result.keys[other], "a false override always holds"
    assert not [row for row in result.aliases if "@" in row["alias"] or row["alias"].startswith("+")]


@settings(CALM, max_examples=many(10))
@given(shops(), st.randoms(use_true_random=False))
def test_the_same_rows_in_any_order_give_the_same_keys(raw: dict[str, list[dict[str, Any]]], chance: Any) -> None:
    first = Result(raw)
    again = Result({name: chance.sample(found, len(found)) for name, found in raw.items()})
    assert (again.aliases, again.customers, again.orders) == (first.aliases, first.customers, first.orders)
