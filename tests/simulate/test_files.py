"""What is on disk: the contract's columns, the same bytes, the stated dirt."""

import hashlib
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ritorno.errors import UnusableInput
from ritorno.simulate import people, simulate, subscriptions
from ritorno.simulate.clock import Clock
from ritorno.simulate.columns import contract, instant_text, instants
from ritorno.simulate.dirt import kinds_of
from ritorno.simulate.shop import make_shop
from ritorno.simulate.write import BATCHED

END = date(2026, 3, 31)


def fingerprints(out: Path) -> dict[str, str]:
    return {
        str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(out.rglob("*"))
        if p.is_file()
    }


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_the_same_arguments_give_the_same_bytes_and_another_seed_gives_others(tmp_path, format):
    made = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate(tmp_path / name, customers=150, seed=seed, years=1, end=END, format=format)
        made[name] = fingerprints(tmp_path / name)
    assert made["a"] == made["b"]
    assert made["a"] != made["c"]


def test_the_bytes_do_not_depend_on_what_was_there_before(tmp_path):
    simulate(tmp_path / "a", customers=120, seed=1, years=1, end=END)
    simulate(tmp_path / "b", customers=300, seed=9, years=2, end=END)
    simulate(tmp_path / "b", customers=120, seed=1, years=1, end=END)
    assert fingerprints(tmp_path / "a") == fingerprints(tmp_path / "b")


def test_every_table_has_exactly_the_columns_of_the_contract(dirty, clean):
    for shop in (dirty, clean):
        for name, table in contract().items():
            described = [row[0] for row in shop.rows(f"describe {name}")]
            assert described == list(table.column_names), name


def test_every_table_has_rows_and_the_report_counts_them(dirty):
    for name in contract():
        assert dirty.report.rows[name] == dirty.one(f"select count(*) from {name}") > 0, name


def test_orders_come_in_monthly_batches(clean):
    for name in BATCHED:
        months = sorted(p.stem for p in (clean.report.raw / name).iterdir())
        assert months[-1] == "2026-03"
        assert len(months) >= 20


def test_clean_parquet_carries_native_types(clean):
    schema = pq.read_schema(clean.report.raw / "orders" / "2026-03.parquet")
    assert schema.field("ordered_at").type == pa.timestamp("us")
    assert schema.field("total").type == pa.decimal128(18, 2)
    assert schema.field("is_test").type == pa.bool_()


def test_the_share_of_dirty_rows_is_the_stated_one(dirty):
    for name, rows in dirty.report.rows.items():
        spoilt = sum(n for (table, _, _), n in dirty.report.dirty.items() if table == name)
        good = rows - spoilt
        if kinds_of(name):
            assert spoilt == pytest.approx(good * 0.02, abs=max(3.0, good * 0.002)), name


def test_every_kind_of_dirt_appears_where_there_are_enough_rows(dirty):
    for name, rows in dirty.report.rows.items():
        if rows >= 500:
            appeared = {kind for table, kind, _ in dirty.report.dirty if table == name}
            assert appeared == {kind for kind, _ in kinds_of(name)}, name


def test_dirty_rows_are_what_the_truth_says(dirty):
    truth = {(t, k): n for t, k, _, n in dirty.rows("from truth_dirt")}
    assert truth == {(t, k): n for (t, k, _), n in dirty.report.dirty.items()}
    bad = "try_cast(ordered_at as timestamptz) is null"
    assert truth["orders", "bad_date"] == dirty.one(f"select count(*) from orders where {bad}")
    bad = "try_cast(total as decimal(18, 2)) is null"
    assert truth["orders", "bad_number"] == dirty.one(f"select count(*) from orders where {bad}")
    assert truth["orders", "null_required"] == dirty.one("select count(*) from orders where order_id is null")
    assert truth["orders", "unknown_currency"] == dirty.one("select count(*) from orders where currency = 'XTS'")
    keyed = "from orders where order_id is not null"
    twice = dirty.one(f"select count(*) {keyed}") - dirty.one(f"select count(*) from (select distinct * {keyed})")
    assert truth["orders", "duplicate"] == twice
    orphans = "select count(*) from order_items where order_id like 'nobody-%'"
    assert truth["order_items", "orphan"] == dirty.one(orphans)


def test_without_dirt_every_row_can_be_read_and_no_row_comes_twice(clean):
    assert clean.one("select count(*) from truth_dirt") == 0
    for name, table in contract().items():
        for column in table.required:
            assert clean.one(f'select count(*) from {name} where "{column}" is null') == 0, (name, column)
        if table.one_of and name != "orders":
            nothing = " and ".join(f"{column} is null" for column in table.one_of)
            assert clean.one(f"select count(*) from {name} where {nothing}") == 0, name
        assert clean.one(f"select count(*) from {name}") == clean.one(
            f"select count(*) from (select distinct * from {name})"
        )
        if table.key:
            keys = ", ".join(f'"{k}"' for k in table.key)
            versions = f"select count(*) from {name} group by {keys}, updated_at having count(*) > 1"
            assert clean.rows(versions) == [], name


def test_instants_read_the_same_as_arrow_shows_them():
    seconds = [0, 1_700_000_001, 951_782_399, -1, 4_102_444_800]
    values = instants(np.array(seconds))
    assert instant_text(values).to_pylist() == [v.strftime("%Y-%m-%d %H:%M:%SZ") for v in values.to_pylist()]


def test_bad_arguments_are_refused_by_name(tmp_path):
    good = {"customers": 10, "seed": 1, "years": 1.0, "end": END}
    for bad in ({"customers": 0}, {"seed": -1}, {"years": 0}, {"dirt": 0.5}, {"format": "xlsx"}):
        with pytest.raises(UnusableInput, match=next(iter(bad))):
            simulate(tmp_path / "x", **{**good, **bad})


def test_a_folder_with_somebody_elses_files_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UnusableInput, match="holds no simulation"):
        simulate(tmp_path, customers=10, seed=1, years=1, end=END)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_killed_simulation_can_be_run_again_and_a_failed_write_is_heard_of(tmp_path, monkeypatch):
    from ritorno.simulate import write

    def full(self, table):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(write.TableFile, "add", full)
        with pytest.raises(OSError, match="No space left"):
            simulate(tmp_path, customers=10, seed=1, years=1, end=END)
    assert simulate(tmp_path, customers=10, seed=1, years=1, end=END).rows["customers"] > 0


@pytest.mark.parametrize("customers", [1, 2, 17])
def test_the_smallest_shops_work(tmp_path, customers):
    report = simulate(tmp_path, customers=customers, seed=5, years=0.1, end=END)
    assert report.persons == customers


def test_whoever_arrives_in_the_last_second_has_a_whole_history():
    # one in a million orders is clipped to the last second: a subscription begun after it would have no event
    clock = Clock(END, 1)
    shop = make_shop(1, clock, 50)
    rng = np.random.default_rng(1)
    persons = people.make_people(rng, shop, 0, 50)
    persons.role[:], persons.subscriber[:] = people.BUYER, True
    arrived = np.full(50, clock.last)
    profiles = people.make_profiles(rng, shop, persons, arrived)
    running = subscriptions.make_subscriptions(rng, shop, persons, profiles, arrived)
    begun = running.events.filter(pc.equal(running.events["type"], "created"))
    assert begun.num_rows == running.table.num_rows >= 50
    assert begun["occurred_at"].to_pylist() == running.table["started_at"].to_pylist()


def test_a_shop_of_several_chunks_has_unique_keys(tmp_path, monkeypatch):
    import duckdb

    import ritorno.simulate as package

    monkeypatch.setattr(package, "CHUNK", 100)
    report = simulate(tmp_path, customers=350, seed=5, years=1, end=END, dirt=0, format="parquet")
    con = duckdb.connect()
    for name in ("orders", "order_items", "payments", "refunds"):
        key = contract()[name].key[0]
        twice = f"select {key} from '{report.raw}/{name}/*.parquet' group by {key}, updated_at having count(*) > 1"
        assert con.execute(twice).fetchall() == []
    for name in ("customers", "loyalty_events", "interactions", "subscription_events"):
        key = contract()[name].key[0]
        twice = f"select {key} from '{report.raw}/{name}.parquet' group by {key}, updated_at having count(*) > 1"
        assert con.execute(twice).fetchall() == []
