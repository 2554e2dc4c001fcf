"""What a user relies on, case by case, through the real SQL and step."""

from __future__ import annotations

from typing import Any

import pytest

from ritorno.identity import normalise
from tests.identity import oracle
from tests.identity.warehouse import MOST, Result


def order(number: int | str, at: str = "2024-03-01", **columns: Any) -> dict[str, Any]:
    return {"order_id": f"O{number}", "ordered_at": at, "total": 10, **columns}


def account(name: str, at: str | None = "2024-01-01", **columns: Any) -> dict[str, Any]:
    return {"customer_id": name, "created_at": at, **columns}


def contact(name: str, **columns: Any) -> dict[str, Any]:
    return {"contact_id": name, "created_at": "2024-02-01", **columns}


def override(left: str, right: str, same: bool) -> dict[str, Any]:
    return {"left_id": left, "right_id": right, "same_person": same}


def guest(email: str = "", phone: str = "") -> str:
    return oracle.node_key(("guest", f"{email}|{phone}"))


def test_three_guests_with_nothing_in_common_are_three_customers_and_an_order_without_identifier_is_nobodys() -> None:
    result = Result(
        {"orders": [order(1, email="a@x.de"), order(2, email="b@x.de"), order(3, phone="0171 7654321"), order(4)]}
    )
    assert len(set(result.orders.values())) == 4
    assert result.orders["O4"] is None
    assert len(result.customers) == 3
    assert result.report["identity_anonymous_orders", "of 4 orders, share 0.2500"] == 1


def test_case_blanks_and_unicode_form_of_an_email_and_spelling_of_a_phone_do_not_make_two_people() -> None:
    result = Result(
        {
            "customers": [
                account("C1", email="René.Müller@X.de"),
                account("C2", email=" RENE\u0301.MU\u0308LLER@x.DE "),
                account("C3", phone="+49 (30) 123-4567"),
                account("C4", phone="0049301234567"),
            ]
        }
    )
    assert result.account("C1") == result.account("C2") != result.account("C3") == result.account("C4")
    assert set(result.emails) == {"René.Müller@X.de", "RENE\u0301.MU\u0308LLER@x.DE"}


def test_placeholders_are_no_addresses_and_are_counted() -> None:
    columns = {"email": "n/a", "phone": "000000"}
    result = Result({"customers": [account(f"C{n}", **columns) for n in (1, 2)], "orders": [order(1, **columns)]})
    assert result.account("C1") != result.account("C2")
    assert result.orders["O1"] is None
    assert result.counted("identity_unreadable_addresses", "email") == 1
    assert result.counted("identity_unreadable_addresses", "phone") == 1


@pytest.mark.parametrize("links", [1, 2, 40])
def test_a_chain_of_any_length_is_one_customer_by_its_oldest_node(links: int) -> None:
    orders = []
    for n in range(links):
        orders.append(order(f"{n}a", f"2024-02-{28 - n // 2:02}", email=f"e{n}@x.de", phone=f"030 10000{n:02}"))
        orders.append(order(f"{n}b", "2024-03-01", email=f"e{n + 1}@x.de", phone=f"030 10000{n:02}"))
    result = Result({"orders": orders})
    assert len(result.customers) == 1
    oldest = min(orders, key=lambda row: (row["ordered_at"], guest(row["email"])))["ordered_at"]
    assert str(next(iter(result.customers.values()))["first_seen_at"]).startswith(oldest)


@pytest.mark.parametrize(("nodes", "customers"), [(MOST, 1), (MOST + 1, MOST + 1)])
def test_a_value_on_more_nodes_than_the_policy_allows_joins_nobody_and_is_reported(nodes: int, customers: int) -> None:
    result = Result({"orders": [order(n, email=f"e{n}@x.de", phone="030 1234567") for n in range(nodes)]})
    assert len(result.customers) == customers
    assert result.counted("identity_shared_values", "phone") == int(customers > 1)


def test_an_account_that_only_orders_or_contacts_name_is_a_customer() -> None:
    result = Result({"orders": [order(1, customer_id="C1")], "crm_contacts": [contact("K1", customer_id="C2")]})
    assert result.orders["O1"] == result.account("C1")
    assert result.ids["contact", "K1"] == result.account("C2")


class TestOverrides:
    def test_true_joins_what_nothing_else_joins_even_b2b_and_b2c(self) -> None:
        result = Result(
            {
                "customers": [account("C1", account_type="b2b"), account("C2")],
                "identity_overrides": [override("C2", "C1", True)],
            }
        )
        assert result.account("C1") == result.account("C2")

    def test_false_cuts_every_edge_between_two_and_beats_a_true_the_other_way_round(self) -> None:
        same = {"email": "a@x.de", "phone": "030 1234567"}
        result = Result(
            {
                "customers": [account("C1", **same), account("C2", **same)],
                "identity_overrides": [override("C1", "C2", True), override("C2", "C1", False)],
            }
        )
        assert result.account("C1") != result.account("C2")
        assert result.counted("identity_overrides", "true: beaten_by_false") == 1
        assert "a@x.de" not in result.emails, "an address of two customers names neither"

    def test_false_holds_through_a_third_who_stays_where_the_stronger_edge_is(self) -> None:
        result = Result(
            {
                "customers": [account("C1", email="a@x.de"), account("C2", phone="030 1234567")],
                "crm_contacts": [contact("K1", email="a@x.de", phone="030 1234567", customer_id="C2")],
                "identity_overrides": [override("C1", "C2", False)],
            }
        )
        assert result.account("C1") != result.account("C2") == result.ids["contact", "K1"]

    def test_false_leaves_the_rest_of_the_customer_together(self) -> None:
        same = {"email": "a@x.de"}
        result = Result(
            {
                "customers": [account("C1", **same), account("C2", at="2024-01-02", **same), account("C3", **same)],
                "identity_overrides": [override("C1", "C2", False)],
            }
        )
        assert result.account("C1") == result.account("C3") != result.account("C2")

    def test_ids_may_be_node_keys_or_carry_their_entity_and_unknown_ones_are_reported(self) -> None:
        result = Result(
            {
                "customers": [account("7")],
                "crm_contacts": [contact("7"), contact("8")],
                "orders": [order(1, email="a@x.de")],
                "identity_overrides": [
                    override("contact:7", "contact:8", True),
                    override("7", guest("a@x.de"), True),
                    override("7", "nobody", True),
                ],
            }
        )
        assert result.ids["contact", "7"] == result.ids["contact", "8"] != result.account("7") == result.orders["O1"]
        assert result.counted("identity_overrides", "true: unknown_id") == 1


class TestBusiness:
    def test_addresses_join_neither_two_businesses_nor_a_business_and_a_person(self) -> None:
        columns = {"email": "office@x.de", "phone": "030 1234567"}
        result = Result(
            {
                "customers": [
                    account("C1", account_type="b2b", **columns),
                    account("C2", account_type="B2B ", **columns),
                    account("C3", **columns),
                ]
            }
        )
        assert len(result.customers) == 3
        assert sorted(row["account_type"] for row in result.customers.values()) == ["b2b", "b2b", "b2c"]

    def test_company_and_country_join_businesses_and_their_contacts_and_neither_alone_does(self) -> None:
        result = Result(
            {
                "customers": [
                    account("C1", account_type="b2b", company="ACME  Inc.", country="DE"),
                    account("C2", account_type="b2b", company="acme inc", country="de"),
                    account("C3", account_type="b2b", company="ACME Inc", country="AT"),
                    account("C4", account_type="b2b", company="ACME Inc"),
                    account("C5", account_type="b2c", company="ACME Inc", country="DE"),
                ],
                "crm_contacts": [contact("K1", company="Acme Inc", country="DE")],
            }
        )
        assert result.account("C1") == result.account("C2") == result.ids["contact", "K1"]
        assert len(result.customers) == 4

    def test_a_contact_that_names_a_business_account_is_that_customer(self) -> None:
        result = Result(
            {
                "customers": [account("C1", account_type="b2b"), account("C2", email="a@x.de")],
                "crm_contacts": [contact("K1", customer_id="C1", email="a@x.de")],
            }
        )
        assert result.ids["contact", "K1"] == result.account("C1") != result.account("C2")


class TestKeysLast:
    def test_a_late_older_row_changes_the_key_and_the_old_one_stays_an_alias(self) -> None:
        before = Result({"orders": [order(1, email="a@x.de")]})
        late = order(2, "2020-01-01", email="a@x.de", phone="030 1234567")
        after = Result({"orders": [order(1, email="a@x.de"), late]})
        assert before.orders["O1"] == guest("a@x.de")
        assert after.orders["O1"] == guest("a@x.de", "+49301234567") == after.keys[guest("a@x.de")]

    def test_a_deleted_account_stays_as_a_tombstone_that_its_key_leads_through(self) -> None:
        gone = account("C1", email="a@x.de", country="DE", deleted_at="2024-05-01", updated_at="2024-05-01")
        rows = {
            "customers": [gone, account("C2", at="2024-02-01", email="a@x.de", country="AT")],
            "orders": [order(1, customer_id="C1")],
        }
        result = Result(rows)
        assert result.account("C2") == result.account("C1") == oracle.node_key(("account", "C1"))
        assert [row["is_tombstone"] for row in result.aliases if row["alias"] in ("C1", "C2")] == [True, False]
        customer = result.customers[result.account("C1")]
        assert (customer["is_tombstone"], customer["country"]) == (False, "AT")
        assert Result({"customers": [gone]}).customers[result.account("C1")]["is_tombstone"]

    def test_the_key_of_a_corrected_guest_leads_to_who_the_order_names_now_and_joins_nobody(self) -> None:
        orders = [
            order(1, email="typo@x.de", updated_at="2024-03-01"),
            order(1, email="right@x.de", updated_at="2024-03-02"),
            order(2, email="typo@x.de", updated_at="2024-03-01"),
            order(2, email="other@x.de", at="2024-03-05", updated_at="2024-03-02"),
        ]
        result = Result({"orders": orders})
        assert result.orders["O1"] != result.orders["O2"]
        assert result.keys[guest("typo@x.de")] == result.orders["O1"] == guest("right@x.de")
        assert guest("typo@x.de") not in result.customers

    def test_rows_and_corrections_after_as_of_do_not_exist(self) -> None:
        rows = {
            "orders": [
                order(1, email="a@x.de", updated_at="2024-03-01"),
                order(1, email="b@x.de", updated_at="2024-06-01"),
                order(2, "2024-06-01", email="c@x.de"),
            ]
        }
        result = Result(rows, as_of="2024-05-31")
        assert set(result.keys) == {guest("a@x.de")}
        assert result.orders == {"O1": guest("a@x.de"), "O2": None}


def test_the_latest_known_value_of_an_attribute_wins_and_the_channel_is_the_oldest_accounts() -> None:
    result = Result(
        {
            "customers": [
                account("C1", "2023-01-01", email="a@x.de", acquisition_channel="ads", country="DE",
                        birth_date="1980-05-05", updated_at="2024-02-01"),
                account("C2", "2023-06-01", email="a@x.de", acquisition_channel="shop", country="AT",
                        updated_at="2024-01-01"),
            ],
            "crm_contacts": [contact("K1", email="a@x.de", preferred_channel="sms", updated_at="2024-03-01")],
        }
    )  # fmt: skip
    customer = result.customers[result.account("C1")]
    assert (customer["country"], customer["birth_year"]) == ("DE", 1980)
    assert (customer["acquisition_channel"], customer["preferred_channel"]) == ("ads", "sms")


def test_an_account_number_that_is_an_address_is_no_alias_but_still_finds_its_orders() -> None:
    rows = [order(1, customer_id="a@x.de"), order(2, customer_id="+491717654321"), order(3, phone="0171 7654321")]
    result = Result({"orders": rows})
    assert {row["alias_kind"] for row in result.aliases} == {"node_key"}
    assert result.orders["O1"] == oracle.node_key(("account", "a@x.de"))


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("A@B.DE", "a@b.de"),
        ("\u00a0a@b.de\n", "a@b.de"),
        ("I\u0307@b.de", "i\u0307@b.de"),
        ("n/a", None),
        ("@b.de", None),
        ("a@", None),
        ("a b@c.de", None),
    ],
)
def test_an_email_is_trimmed_lower_case_and_nfc_or_none_with_a_reason(raw: str, value: str | None) -> None:
    read = normalise.email(raw)
    assert read.value == value
    assert (read.reason is None) == (value is not None)
    if value:
        assert normalise.email(value) == read, "normalising twice changes nothing"


@pytest.mark.parametrize(
    ("raw", "region", "value"),
    [
        ("030 1234567", "DE", "+49301234567"),
        ("030 1234567", "AT", "+43301234567"),
        ("+39 06 1234567", "DE", "+39061234567"),
        ("030 1234567 ext. 5", "DE", "+49301234567"),
        ("nobody", "DE", None),
        ("110", "DE", None),
        ("000000", "DE", None),
    ],
)
def test_a_phone_is_e164_of_its_region_or_none_with_a_reason(raw: str, region: str, value: str | None) -> None:
    read = normalise.phone(raw, region)
    assert read.value == value
    assert (read.reason is None) == (value is not None)
