"""Who is who follows what happened: each reason for which a node is resolved again, that none can be forgotten, and
that whatever happens leaves what a full run makes."""

from __future__ import annotations

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
from tests.support.examples import SOAK

MOST = 3
AS_OF = date(2024, 12, 31)
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
Tables = dict[str, list[tuple[Any, ...]]]


@cache
def _project() -> Project:
    return Project.compile(**VARS)


@cache
def _prepared() -> tuple[duckdb.DuckDBPyConnection, tuple[str, ...]]:
    """A warehouse with all that the step reads built empty, and those models that these tests' raw tables change."""
    project = _project()
    con = project.connect({})
    project.run(con, *step.INPUTS, as_of=str(AS_OF), remember=False)  # views stay, and rows come
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
    """A shop's identity over many days."""

    con: duckdb.DuckDBPyConnection = field(default_factory=lambda: _prepared()[0])

    def __post_init__(self) -> None:
        tables.empty(self.con)

    def day(self, raw: Mapping[str, Sequence[Row]], as_of: date = AS_OF, **policy: Any) -> dict[str, Any]:
        """Bring identity up to date with these rows; returns how the run was."""
        _land(self.con, raw, as_of)
        self.front()
        step.run(self._context(self.con, policy))
        return self.run()

    def would_be(self, *, is_full: bool = False, fault: tuple[str, str] | None = None) -> Tables:
        """What a run that is killed at its end would have left."""
        con: Any = Faulty(self.con, *fault) if fault else self.con
        context = self._context(con)
        self.con.begin()
        try:
            step.resolve(context, "to compare" if is_full else step.reason_for_full(context))
            assert self.run()["mode"] == ("full" if is_full else "incremental")
            assert fault is None or con.times, f"the step has no {fault[0]}"
            return self.tables()
        finally:
            self.con.rollback()

    def front(self, run_id: str = "run", reason: str | None = None) -> None:
        """What int_changes__front says."""
        self.con.execute(
            "create or replace table intermediate.int_changes__front as "
            "select cast(? as varchar) as run_id, cast(? as varchar) as general_reason",
            [run_id, reason],
        )

    def run(self) -> dict[str, Any]:
        """How the last run was; empty before the first."""
        return (Project.query(self.con, "select * from identity.run") or [{}])[0]

    def tables(self) -> Tables:
        """What stands."""
        return {name: self.con.execute(f"from identity.{name} order by all").fetchall() for name in COMPARED}

    def _context(self, con: duckdb.DuckDBPyConnection, policy: Mapping[str, Any] | None = None) -> StepContext:
        values = {**_policy(), **(policy or {})}
        return StepContext(con, values, AS_OF, _project().home, _project().manifest, "run")


@cache
def _policy() -> Mapping[str, Any]:
    return load_policy(overrides=VARS).values


_standing: dict[str, tuple[date, Sequence[Row]]] = {}


def _land(con: duckdb.DuckDBPyConnection, raw: Mapping[str, Sequence[Row]], as_of: date) -> None:
    """Replace the raw tables, and build what the step reads: canonical tables only where their rows are others."""
    project = _project()
    changed = [name for name in RAW if _standing.get(name) != (as_of, raw[name])]
    for name in changed:
        con.execute(f"delete from raw.{name}")
        project.load_raw(con, {name: raw[name]})
        _standing[name] = (as_of, raw[name])
    for unique_id in _prepared()[1]:
        if "int_canonical__" not in unique_id or unique_id.endswith(tuple(changed)):
            project._build(con, project.manifest["nodes"][unique_id], str(as_of))


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
        if is_killed:
            _land(people.con, raw, as_of)
            people.would_be()
            continue
        run = people.day(raw, as_of)
        assert run["reason"] == (None if number else "no finished run to build on")
        assert people.tables() == people.would_be(is_full=True)


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
        put: this; by default `found`, which ends with `where`, and `false and`.
    """

    before: Sequence[tuple[str, dict[str, Any]]]
    after: Sequence[tuple[str, dict[str, Any]]]
    found: str
    put: str = ""

    @property
    def fault(self) -> tuple[str, str]:
        return self.found, self.put or f"{self.found} false and"


CORRECTED = [GUEST, ("orders", {**GUEST[1], "email": "h@x.de", "updated_at": "2024-04-01"})]
BUSINESS = [account(f"C{n}", account_type="b2b", **ACME) for n in range(5)]
KNOWN = account("C1", email="g@x.de")
REACHED = "select s.node_key from standing as s semi join grown on"
OUTSIDE = "select a.kind, a.value, null, null\n            from identity.node_addresses as a"
DECIDED = "select unnest([left_node_key, right_node_key]) as node_key from identity.overrides"
NUMBERS = "from temp.identity_addresses where kind = 'phone' and value is not null"
ACCOUNTS = "where entity = 'account'"
CASES: Mapping[str, Case] = {
    "somebody who came": Case(
        [GUEST], [GUEST, KNOWN], "identity_wanted as select row_hash from temp.identity_came",
        "identity_wanted as select row_hash from temp.identity_came where false",
    ),
    "somebody who is gone": Case(
        TORN, TORN[1:], "where not is_retired and hash(node_key) in (select node_hash from temp.identity_gone)",
        "where false",
    ),
    "what is said no more": Case(TORN, [TORN[0], account("C2")], "delete from identity.seen where"),
    "what else is said of somebody": Case(
        [KNOWN, GUEST], [KNOWN, GUEST, order("O2", customer_id="C1")],
        "and row_hash not in (select row_hash from temp.identity_came)", "and false",
    ),
    "what is said of those who are tied to somebody": Case(
        [KNOWN, GUEST], [KNOWN, GUEST, order("O2", customer_id="C1")],
        "where node_hash in (select hash(node_key) from temp.identity_subset",
        "where false and node_hash in (select hash(node_key) from temp.identity_subset",
    ),
    "a business that is not touched": Case(
        BUSINESS, [*BUSINESS, contact("K1", **ACME)],
        f"select s.company_value from identity.stated as s\n{16 * ' '}where"
    ),
    "whose account is no business any more": Case(
        [account("C1", account_type="b2b"), contact("K1", customer_id="C1", email="g@x.de"), GUEST],
        [account("C1", account_type="b2c"), contact("K1", customer_id="C1", email="g@x.de"), GUEST],
        ACCOUNTS, "where false",
    ),
    "whose company became a business": Case(
        [account("C1", **ACME), contact("K1", **ACME)],
        [account("C1", account_type="b2b", **ACME), contact("K1", **ACME)],
        "n.company_value in (from companies)", "false",
    ),
    "whose company is no business any more": Case(
        [account("C1", account_type="b2b", **ACME), contact("K1", email="g@x.de", **ACME), GUEST],
        [account("C1", **ACME), contact("K1", email="g@x.de", **ACME), GUEST],
        "n.company_value in (from former_companies)", "false",
    ),
    "whose id is a phone number now": Case(
        [account(PHONE), GUEST], [account(PHONE), GUEST, order("O2", phone=PHONE)],
        f"select raw_value as text {NUMBERS}", f"select raw_value as text {NUMBERS} and false",
    ),
    "whose id is what a phone number reads": Case(
        [account("+491717654321"), GUEST], [account("+491717654321"), GUEST, order("O2", phone=PHONE)],
        f"select value {NUMBERS}", f"select value {NUMBERS} and false",
    ),
    "whose id is a phone number no more": Case(
        [account(PHONE), GUEST, order("O2", phone=PHONE)], [account(PHONE), GUEST],
        "select a.kind, a.raw_value, a.value\n", "select a.kind, a.raw_value, cast(null as varchar) as value\n",
    ),
    "who shares a value with somebody who came": Case(
        [GUEST], [GUEST, KNOWN], "select node_key from sharers", "select node_key from sharers where false"
    ),
    "who had a phone that is shared by too many now": Case(
        THREE, [*THREE, account("C9", phone=PHONE)], "(partition by a.kind, a.value) <= ?",
        "(partition by a.kind, a.value) < ?",
    ),
    "who has a phone that isn't shared by too many any more": Case(
        [*THREE, account("C9", phone=PHONE)], [*THREE, account("C9")],
        "select kind, value from identity.node_addresses where",
    ),
    "an e-mail that came": Case(
        FAR, [*FAR[:2], account("C4", email="a@x.de")],
        "select 'email', email_value from temp.identity_identified where",
    ),
    "a phone that came": Case(
        FAR, [account("C1", phone=OTHER_PHONE), *FAR[1:]],
        "select 'phone', phone_value from temp.identity_identified where",
    ),
    "a company that came": Case(
        [BUSINESS[1], account("C7", account_type="b2b"), contact("K1", customer_id="C7")],
        [BUSINESS[1], account("C7", account_type="b2b"), contact("K1", customer_id="C7", **ACME)],
        "select 'company', company_value from temp.identity_current where",
    ),
    "how many have what too many have": Case(
        MANY, [*MANY, account("C9", phone=PHONE)], OUTSIDE,
        OUTSIDE.replace("identity.node_addresses", "(from identity.node_addresses where false)"),
    ),
    "that fewer have what too many have": Case(
        MANY, [*MANY[:5], account("C5")],
        "delete from identity.shared_values as s using temp.identity_values as v\n        where",
    ),
    "whom somebody decided to be one": Case(
        FAR, [*FAR, decided("C1", "C3", is_same=True)],
        "select unnest([left_key, right_key]) from temp.identity_overrides",
        "select unnest([left_key, right_key]) from temp.identity_overrides where false",
    ),
    "whom nobody says to be one any more": Case(
        [*FAR, decided("C1", "C3", is_same=True)], FAR, DECIDED, f"{DECIDED} where false"
    ),
    "whom nobody says to be two any more": Case(
        [*TORN, decided("C1", "C2", is_same=False)], TORN, DECIDED, f"{DECIDED} where false"
    ),
    "the account that a contact names now": Case(
        [account("C1"), contact("K1", customer_id="C1"), contact("K2")],
        [account("C1"), contact("K1", customer_id="C1"), contact("K2", customer_id="C1")],
        "select md5(system || '|account|' || account_id) from temp.identity_current\n            where",
    ),
    "those behind who was left": Case(
        [*FAR, MIDDLE], [*FAR, account("C2")], REACHED, f"{REACHED} false and"
    ),
    "a customer whose oldest is another": Case(
        [*FAR, MIDDLE], [*FAR, MIDDLE, order("O1", "2020-01-01", customer_id="C4")], REACHED, f"{REACHED} false and"
    ),
    "who was on the other side of a decision": Case(
        [*TORN, decided("C1", "C2", is_same=False), account("C3", phone=PHONE)],
        [*TORN, decided("C1", "C2", is_same=False), account("C3", email="a@x.de")],
        "where c.component_no != c.customer_no", "where false",
    ),
    "a guest whose address was corrected": Case(
        [GUEST], CORRECTED, "select * from temp.identity_retired except",
        "select * from temp.identity_retired where false except",
    ),
    "who took a corrected guest's place": Case(
        CORRECTED, [*CORRECTED, account("C1", email="h@x.de")], "delete from identity.nodes where is_retired and",
        "delete from identity.nodes where false and",
    ),
    "a spelling that is gone": Case(
        TORN[:1], [account("C1", email="A@x.de")],
        "delete from identity.addresses as a using temp.identity_addresses as gone\n        where",
    ),
    "a guest who is gone": Case([GUEST, account("C1")], [account("C1")], "delete from identity.guests where"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_no_reason_to_resolve_somebody_can_be_forgotten_unseen(name: str) -> None:
    case, people = CASES[name], People()
    people.day(shop(*case.before))
    _land(people.con, shop(*case.after), AS_OF)
    whole = people.would_be(is_full=True)
    assert people.would_be(fault=case.fault) != whole
    run = people.day(shop(*case.after))
    assert people.tables() == whole
    assert run["reason"] is None
    assert run["touched_nodes"] < len(CROWD), "only who has to do with it"


def test_a_day_without_news_touches_nobody() -> None:
    people = People()
    people.day(shop(*FAR, GUEST))
    assert people.day(shop(*FAR, GUEST))["touched_nodes"] == 0
    assert people.tables() == people.would_be(is_full=True)


def test_what_makes_a_run_resolve_everybody() -> None:
    people = People()
    assert people.day(shop(*FAR))["reason"] == "no finished run to build on"
    assert people.day(shop(*FAR))["reason"] is None
    assert people.day(shop(*FAR), identity_max_nodes_per_value=9)["reason"] == "the step or its versions have changed"
    assert people.day(shop(*FAR))["reason"] == "the step or its versions have changed"
    assert people.day(shop(), incremental_max_share=0.01)["reason"] == "more nodes changed than incremental_max_share"
    assert people.tables() == people.would_be(is_full=True)
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
    assert people.tables() == people.would_be(is_full=True)
