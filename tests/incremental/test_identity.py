"""Who is who follows what happened: each reason for which a node is resolved again, that none can be forgotten, and that
whatever happens leaves what a full run makes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ritorno.identity import step, tables
from ritorno.policy import load_policy
from ritorno.step_context import StepContext
from tests.identity.test_identity_oracle import shops
from tests.identity.warehouse import RAW
from tests.support import Project

MOST = 3
AS_OF = date(2024, 12, 31)
SOAK = os.environ.get("RITORNO_SOAK") == "1"
EXAMPLES = settings(
    max_examples=150 if SOAK else 6,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
VARS = {"incremental": "always", "incremental_max_share": 1.0, "identity_max_nodes_per_value": MOST}
COMPARED = [name for name in (*tables.OUTPUTS, *tables.MEMORY) if name != "run"]
Row = Mapping[str, Any]
Raw = dict[str, list[dict[str, Any]]]


@cache
def _project() -> Project:
    return Project.compile(**VARS)


@cache
def _prepared() -> tuple[duckdb.DuckDBPyConnection, tuple[str, ...]]:
    """A warehouse with all that the step reads built empty, and those models that these tests' raw tables change."""
    project = _project()
    con = project.connect({})
    project.run(con, *step.INPUTS, as_of=str(AS_OF))
    tables.ensure(con)
    built = [
        unique_id
        for unique_id in project._order(step.INPUTS)
        if unique_id.rpartition(".")[2].startswith("int_identity__")
        or ("int_canonical__" in unique_id and unique_id.endswith(RAW))
    ]
    return con, tuple(built)


@dataclass
class Faulty:
    """A connection that changes the step's SQL: a fault, for the tests of the tests."""

    con: duckdb.DuckDBPyConnection
    found: str
    put: str
    times: int = 0

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        self.times += sql.count(self.found)
        return self.con.execute(sql.replace(self.found, self.put), parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.con, name)


@dataclass
class People:
    """A shop's identity over many days.

    Attributes:
        fault: what to leave out of the step's SQL, and what to put instead.
    """

    fault: tuple[str, str] | None = None
    con: duckdb.DuckDBPyConnection = field(default_factory=lambda: _prepared()[0])

    def __post_init__(self) -> None:
        tables.empty(self.con)

    def day(
        self, raw: Mapping[str, Sequence[Row]], as_of: date = AS_OF, *, is_killed: bool = False, **policy: Any
    ) -> dict[str, Any]:
        """Bring identity up to date with these rows; returns how the last run was."""
        project = _project()
        for name in RAW:
            self.con.execute(f"delete from raw.{name}")
        project.load_raw(self.con, raw)
        for unique_id in _prepared()[1]:
            project._build(self.con, project.manifest["nodes"][unique_id], str(as_of))
        self.front()
        con: Any = Faulty(self.con, *self.fault) if self.fault else self.con
        context = self._context(con, policy)
        if is_killed:
            self.con.begin()
            step.resolve(context, step.reason_for_full(context))
            self.con.rollback()
        else:
            step.run(context)
        if self.fault and self.run()["mode"] == "incremental":
            assert con.times, f"the step has no {self.fault[0]}"
        return self.run()

    def front(self, run_id: str = "run", reason: str | None = None) -> None:
        self.con.execute(
            "create or replace table intermediate.int_changes__front as "
            "select cast(? as varchar) as run_id, cast(? as varchar) as general_reason",
            [run_id, reason],
        )

    def run(self) -> dict[str, Any]:
        return (Project.query(self.con, "select * from identity.run") or [{}])[0]

    def differences(self) -> dict[str, list[tuple[Any, ...]]]:
        """Rows of each table that a full run would not have, or would have besides; what stands stays."""
        self.con.begin()
        try:
            for name in COMPARED:
                self.con.execute(f"create temp table stood_{name} as from identity.{name}")
            step.resolve(self._context(self.con), "to compare")
            found = {
                name: self.con.execute(
                    f"(from temp.stood_{name} except all from identity.{name})"
                    f" union all (from identity.{name} except all from temp.stood_{name})"
                ).fetchall()
                for name in COMPARED
            }
        finally:
            self.con.rollback()
        return {name: rows for name, rows in found.items() if rows}

    def _context(self, con: duckdb.DuckDBPyConnection, policy: Mapping[str, Any] | None = None) -> StepContext:
        values = {**load_policy(overrides=VARS).values, **(policy or {})}
        return StepContext(con, values, AS_OF, _project().home, _project().manifest, "run")


# --- whatever happens


def _versions(one: Row, other: Row, table: str) -> dict[str, list[Row]]:
    """How a row may stand: not at all, in one form or another, both of them, deleted, or as an erasure leaves it."""
    later = {"updated_at": "2024-06-01 12:00:00"}
    erased = {name: None for name in ("phone", "company", "country") if name in one}
    tokens = {"email": "erased-1@erased.invalid", "customer_id": "erased-1"}
    return {
        "absent": [],
        "one": [one],
        "other": [other],
        "corrected": [one, {**other, **later}],
        "corrected back": [one, {**other, **later}, {**one, "updated_at": "2024-07-01"}],
        "deleted": [{**one, "deleted_at": "2024-03-01"}],
        "deleted later": [{**one, "deleted_at": "2025-03-01"}],
        "erased": [{**one, **erased, **{name: token for name, token in tokens.items() if one.get(name)}}],
    }


@st.composite
def days(draw: st.DrawFn) -> list[tuple[Raw, date, bool]]:
    """Days on which a few rows stand otherwise than the day before; on some the run is killed."""
    first, second = draw(shops()), draw(shops())
    pool = {
        (table, number): _versions(rows[number], (second[table] or rows)[number % len(second[table] or rows)], table)
        for table, rows in first.items()
        for number in range(len(rows))
    }
    if not pool:
        return []
    places = st.sampled_from(sorted(pool))
    forms = st.sampled_from(["absent", "one", "one", "other", "corrected", "corrected back", "deleted", "deleted later",
                             "erased"])  # fmt: skip
    standing = {place: draw(st.sampled_from(["one", "one", "absent"])) for place in sorted(pool)}
    found = []
    for number in range(draw(st.integers(3, 8 if SOAK else 5))):
        if number:
            standing.update(draw(st.dictionaries(places, forms, min_size=0, max_size=3)))
        raw: Raw = {name: [] for name in RAW}
        for (table, _), form in standing.items():
            raw[table] += [dict(row) for row in pool[table, _][form]]
        as_of = draw(st.sampled_from([AS_OF, AS_OF, date(2025, 6, 30), date(2024, 1, 5)]))
        found.append((raw, as_of, draw(st.sampled_from([False, False, False, number > 0]))))
    return found


@EXAMPLES
@given(days())
def test_after_every_day_identity_is_what_a_full_run_makes_soak(days_of_a_shop: list[tuple[Raw, date, bool]]) -> None:
    people = People()
    for number, (raw, as_of, is_killed) in enumerate(days_of_a_shop):
        run = people.day(raw, as_of, is_killed=is_killed)
        assert run["mode"] == ("incremental" if number and run["reason"] is None else "full")
        if number > 1 and not is_killed:
            assert run["reason"] is None
        if not is_killed:
            assert people.differences() == {}


# --- one reason at a time


def order(key: str, at: str = "2024-03-01", **columns: Any) -> tuple[str, dict[str, Any]]:
    return "orders", {"order_id": key, "ordered_at": at, "total": 10, **columns}


def account(key: str, at: str = "2024-01-01", **columns: Any) -> tuple[str, dict[str, Any]]:
    return "customers", {"customer_id": key, "created_at": at, **columns}


def contact(key: str, **columns: Any) -> tuple[str, dict[str, Any]]:
    return "crm_contacts", {"contact_id": key, "created_at": "2024-02-01", **columns}


def decided(left: str, right: str, *, is_same: bool) -> tuple[str, dict[str, Any]]:
    return "identity_overrides", {"left_id": left, "right_id": right, "same_person": is_same}


def shop(*rows: tuple[str, dict[str, Any]]) -> Raw:
    raw: Raw = {name: [] for name in RAW}
    for table, row in (*rows, *CROWD):
        raw[table].append(row)
    return raw


CROWD = [account(f"X{number}", email=f"x{number}@x.de") for number in range(20)]
"""Who has nothing to do with it."""
PHONE, OTHER_PHONE = "0171 7654321", "030 1234567"
ACME = {"company": "ACME", "country": "DE"}
GUEST = order("O1", email="g@x.de")
FAR = [account("C1", email="a@x.de"), account("C3", phone=OTHER_PHONE, email="c@x.de"), account("C4", email="c@x.de")]
MIDDLE = account("C2", "2023-01-01", email="a@x.de", phone=OTHER_PHONE)
TORN = [account("C1", email="a@x.de"), account("C2", email="a@x.de")]
THREE = [account(f"C{number}", phone=PHONE) for number in range(3)]
MANY = [account(f"C{number}", phone=PHONE) for number in range(6)]


@dataclass(frozen=True)
class Case:
    """One reason.

    Attributes:
        before: the rows of the first day.
        after: the rows of the second.
        found: in the step's SQL; with `put` instead, the reason is forgotten.
        put: this.
    """

    before: Sequence[tuple[str, dict[str, Any]]]
    after: Sequence[tuple[str, dict[str, Any]]]
    found: str
    put: str = "select node_key from temp.identity_changed where false"


CASES: Mapping[str, Case] = {
    "somebody who came": Case(
        [GUEST], [GUEST, account("C1", email="g@x.de")],
        "identity_wanted as select row_hash from temp.identity_came",
        "identity_wanted as select row_hash from temp.identity_came where false",
    ),
    "somebody who is gone": Case(
        TORN, TORN[1:], "where not is_retired and hash(node_key) in (select node_hash from temp.identity_gone)", "where false",
    ),
    "what is said no more": Case(
        TORN, [TORN[0], account("C2")], "delete from identity.seen where row_hash in",
        "delete from identity.seen where false and row_hash in",
    ),
    "what else is said of somebody": Case(
        [account("C1", email="g@x.de"), GUEST], [account("C1", email="g@x.de"), GUEST, order("O2", customer_id="C1")],
        "and row_hash not in (select row_hash from temp.identity_came)", "and false",
    ),
    "what is said of those who are tied to somebody": Case(
        [account("C1", email="g@x.de"), GUEST], [account("C1", email="g@x.de"), GUEST, order("O2", customer_id="C1")],
        "where node_hash in (select hash(node_key) from temp.identity_subset", "where false and node_hash in (select hash(node_key) from temp.identity_subset",
    ),
    "a business that is not touched": Case(
        [account(f"C{n}", account_type="b2b", **ACME) for n in range(5)],
        [*(account(f"C{n}", account_type="b2b", **ACME) for n in range(5)), contact("K1", **ACME)],
        "select s.company_value from identity.stated as s\n                where", "select s.company_value from identity.stated as s\n                where false and",
    ),
    "whose account is no business any more": Case(
        [account("C1", account_type="b2b"), contact("K1", customer_id="C1", email="g@x.de"), GUEST],
        [account("C1", account_type="b2c"), contact("K1", customer_id="C1", email="g@x.de"), GUEST],
        "select system, node_id from temp.identity_described where entity = 'account'\n            union\n"
        "            select system, node_id from temp.identity_was where entity = 'account'",
        "select system, node_id from temp.identity_described where false",
    ),
    "whose company became a business": Case(
        [account("C1", **ACME), contact("K1", **ACME)], [account("C1", account_type="b2b", **ACME), contact("K1", **ACME)],
        "n.company_value in (from companies)", "false",
    ),
    "whose company is no business any more": Case(
        [account("C1", account_type="b2b", **ACME), contact("K1", email="g@x.de", **ACME), GUEST],
        [account("C1", **ACME), contact("K1", email="g@x.de", **ACME), GUEST],
        "n.company_value in (from former_companies)", "false",
    ),
    "whose id is a phone number now": Case(
        [account(PHONE), GUEST], [account(PHONE), GUEST, order("O2", phone=PHONE)],
        "select raw_value as text from temp.identity_addresses where kind", "select raw_value as text from temp.identity_addresses where 'x' = kind and kind",
    ),
    "whose id is what a phone number reads": Case(
        [account("+491717654321"), GUEST], [account("+491717654321"), GUEST, order("O2", phone=PHONE)],
        "select value from temp.identity_addresses where kind = 'phone' and value is not null\n        )\n        select node_key from temp.identity_changed",
        "select value from temp.identity_addresses where false\n        )\n        select node_key from temp.identity_changed",
    ),
    "whose id is a phone number no more": Case(
        [account(PHONE), GUEST, order("O2", phone=PHONE)], [account(PHONE), GUEST],
        "select a.kind, a.raw_value, a.value\n        from identity.addresses as a", "select a.kind, a.raw_value, cast(null as varchar) as value\n        from identity.addresses as a",
    ),
    "who shares a value with somebody who came": Case(
        [GUEST], [GUEST, account("C1", email="g@x.de")], "select node_key from sharers",
    ),
    "who had a phone that is shared by too many now": Case(
        THREE, [*THREE, account("C9", phone=PHONE)],
        "qualify count(*) over (partition by a.kind, a.value) <= ?",
        "qualify count(*) over (partition by a.kind, a.value) < ?",
    ),
    "who has a phone that isn't shared by too many any more": Case(
        [*THREE, account("C9", phone=PHONE)], [*THREE, account("C9")],
        "select kind, value from identity.node_addresses where node_key in (select node_key from temp.identity_touched)",
        "select kind, value from identity.node_addresses where false",
    ),
    "an e-mail that came": Case(
        FAR, [*FAR[:2], account("C4", email="a@x.de")],
        "select 'email', email_value from temp.identity_identified where email_value is not null",
        "select 'email', email_value from temp.identity_identified where false and email_value is not null",
    ),
    "a phone that came": Case(
        FAR, [account("C1", phone=OTHER_PHONE), *FAR[1:]],
        "select 'phone', phone_value from temp.identity_identified where phone_value is not null",
        "select 'phone', phone_value from temp.identity_identified where false and phone_value is not null",
    ),
    "a company that came": Case(
        [account("C1", account_type="b2b", **ACME), account("C2", account_type="b2b"), contact("K1", customer_id="C2")],
        [
            account("C1", account_type="b2b", **ACME), account("C2", account_type="b2b"),
            contact("K1", customer_id="C2", **ACME),
        ],
        "select 'company', company_value from temp.identity_current where company_value is not null",
        "select 'company', company_value from temp.identity_current where false and company_value is not null",
    ),
    "how many have what too many have": Case(
        MANY, [*MANY, account("C9", phone=PHONE)],
        "select a.kind, a.value, null, null\n            from identity.node_addresses as a",
        "select a.kind, a.value, null, null\n            from (from identity.node_addresses where false) as a",
    ),
    "that fewer have what too many have": Case(
        MANY, [*MANY[:5], account("C5")], "delete from identity.shared_values as s using temp.identity_values as v\n        where",
        "delete from identity.shared_values as s using temp.identity_values as v\n        where false and",
    ),
    "whom somebody decided to be one": Case(
        FAR, [*FAR, decided("C1", "C3", is_same=True)],
        "select unnest([left_key, right_key]) from temp.identity_overrides",
        "select unnest([left_key, right_key]) from temp.identity_overrides where false",
    ),
    "whom nobody says to be one any more": Case(
        [*FAR, decided("C1", "C3", is_same=True)], FAR,
        "select unnest([left_node_key, right_node_key]) as node_key from identity.overrides",
        "select unnest([left_node_key, right_node_key]) as node_key from identity.overrides where false",
    ),
    "whom nobody says to be two any more": Case(
        [*TORN, decided("C1", "C2", is_same=False)], TORN,
        "select unnest([left_node_key, right_node_key]) as node_key from identity.overrides",
        "select unnest([left_node_key, right_node_key]) as node_key from identity.overrides where false",
    ),
    "the account that a contact names now": Case(
        [account("C1"), contact("K1", customer_id="C1"), contact("K2")],
        [account("C1"), contact("K1", customer_id="C1"), contact("K2", customer_id="C1")],
        "select md5(system || '|account|' || account_id) from temp.identity_current\n            where",
        "select md5(system || '|account|' || account_id) from temp.identity_current\n            where false and",
    ),
    "those behind who was left": Case(
        [*FAR, MIDDLE], [*FAR, account("C2")],
        "select s.node_key from standing as s semi join grown on", "select s.node_key from standing as s semi join grown on false and",
    ),
    "a customer whose oldest is another": Case(
        [*FAR, MIDDLE], [*FAR, MIDDLE, order("O1", "2020-01-01", customer_id="C4")],
        "select s.node_key from standing as s semi join grown on", "select s.node_key from standing as s semi join grown on false and",
    ),
    "who was on the other side of a decision": Case(
        [*TORN, decided("C1", "C2", is_same=False), account("C3", phone=PHONE)],
        [*TORN, decided("C1", "C2", is_same=False), account("C3", email="a@x.de")],
        "where c.component_no != c.customer_no", "where false",
    ),
    "a guest whose address was corrected": Case(
        [GUEST], [GUEST, ("orders", {**GUEST[1], "email": "h@x.de", "updated_at": "2024-04-01"})],
        "select * from temp.identity_retired except", "select * from temp.identity_retired where false except",
    ),
    "who took a corrected guest's place": Case(
        [GUEST, ("orders", {**GUEST[1], "email": "h@x.de", "updated_at": "2024-04-01"})],
        [GUEST, ("orders", {**GUEST[1], "email": "h@x.de", "updated_at": "2024-04-01"}), account("C1", email="h@x.de")],
        "delete from identity.nodes where is_retired and", "delete from identity.nodes where false and",
    ),
    "a spelling that is gone": Case(
        TORN[:1], [account("C1", email="A@x.de")], "delete from identity.addresses as a using temp.identity_addresses as gone\n        where",
        "delete from identity.addresses as a using temp.identity_addresses as gone\n        where false and",
    ),
    "a guest who is gone": Case(
        [GUEST, account("C1")], [account("C1")], "delete from identity.guests where", "delete from identity.guests where false and",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_no_reason_to_resolve_somebody_can_be_forgotten_unseen(name: str) -> None:
    case = CASES[name]
    for fault, is_equal in ((None, True), ((case.found, case.put), False)):
        people = People(fault)
        people.day(shop(*case.before))
        run = people.day(shop(*case.after))
        assert run["reason"] is None
        assert run["touched_nodes"] < len(CROWD), "only who has to do with it"
        assert (people.differences() == {}) is is_equal


def test_a_day_without_news_touches_nobody() -> None:
    people = People()
    people.day(shop(*FAR, GUEST))
    assert people.day(shop(*FAR, GUEST))["touched_nodes"] == 0
    assert people.differences() == {}


def test_what_makes_a_run_resolve_everybody() -> None:
    people = People()
    assert people.day(shop(*FAR))["reason"] == "no finished run to build on"
    assert people.day(shop(*FAR))["reason"] is None
    assert people.day(shop(*FAR), identity_max_nodes_per_value=9)["reason"] == "the step or its versions have changed"
    assert people.day(shop(*FAR))["reason"] == "the step or its versions have changed"
    assert people.day(shop(), incremental_max_share=0.01)["reason"] == "more nodes changed than incremental_max_share"
    assert people.differences() == {}
    context = people._context(people.con)
    for run_id, reason, found in (
        ("another", None, "the step was run by itself"),
        ("run", "asked for (--full)", "asked for (--full)"),
        ("run", None, None),
    ):
        people.front(run_id, reason)
        assert step.reason_for_full(context) == found


def test_more_than_the_share_among_those_who_are_tied_to_a_change_resolves_everybody() -> None:
    """Few sightings changed, but all who share a component with them are many."""
    chain = [account(f"C{n}", email=f"e{n // 2}@x.de", phone=f"030 12345{(n + 1) // 2:02}") for n in range(30)]
    people = People()
    people.day(shop(*chain), incremental_max_share=0.3)
    changed = [account("C0", "2020-01-01", email="e0@x.de", phone="030 1234500"), *chain[1:]]
    run = people.day(shop(*changed), incremental_max_share=0.3)
    assert (run["mode"], run["reason"]) == ("full", "more nodes changed than incremental_max_share")
    assert people.differences() == {}
