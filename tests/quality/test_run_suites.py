"""Suites run against real DuckDB files: every kind of expectation used goes red when its fault is put in."""

import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
import yaml

from ritorno.errors import UnusableInput
from ritorno.home import PROJECT_ROOT
from ritorno.quality import blocking, expected_checks
from ritorno.quality.duckdb_dialect import MOST_ROWS
from ritorno.quality.expectations import STAGES, load_suites
from tests.quality.support import AS_OF, check, home_with, replace, suite_folder

GOOD = """
    create or replace table marts.orders as
    select
        i as id, case when i % 10 = 0 then null else 'c' || (i % 7) end as customer_key,
        cast(i % 5 + 10 as decimal(18, 2)) as net_revenue,
        cast(i % 5 + 1 as integer) as score,
        date '2024-03-31' - cast(i % 60 as integer) as order_date,
        timestamp '2024-03-31 12:00:00' - to_days(cast(i % 60 as integer)) as ordered_at,
        'seg' || (i % 3) as segment
    from range(600) as t(i)
"""


def entry(kind, kwargs, severity="critical"):
    return {"type": kind, "kwargs": kwargs, "severity": severity, "reason": f"{kind} is tried", "name": "tried"}


# kind, arguments, and a statement that puts the fault in
KINDS = {
    "row_count": ("expect_table_row_count_to_be_between", {"min_value": 1}, "delete from marts.orders"),
    "not_null": (
        "expect_column_values_to_not_be_null",
        {"column": "customer_key", "mostly": 0.85},
        "update marts.orders set customer_key = null where id % 2 = 0",
    ),
    "non_null_share": (
        "expect_column_proportion_of_non_null_values_to_be_between",
        {"column": "customer_key", "min_value": 0.85},
        "update marts.orders set customer_key = null where id % 2 = 0",
    ),
    "number_range": (
        "expect_column_values_to_be_between",
        {"column": "net_revenue", "min_value": 0, "max_value": 100},
        "update marts.orders set net_revenue = -1 where id = 3",
    ),
    "strict_range": (
        "expect_column_values_to_be_between",
        {"column": "net_revenue", "min_value": 0, "strict_min": True},
        "update marts.orders set net_revenue = 0 where id = 3",
    ),
    "mostly_range": (
        "expect_column_values_to_be_between",
        {"column": "net_revenue", "min_value": 0, "mostly": 0.99},
        "update marts.orders set net_revenue = -1 where id % 50 = 0",
    ),
    "time_range": (
        "expect_column_values_to_be_between",
        {"column": "ordered_at", "min_value": "1990-01-01", "max_value": "{as_of+1d}"},
        "update marts.orders set ordered_at = timestamp '2024-04-03' where id = 3",
    ),
    "newest_day": (
        "expect_column_max_to_be_between",
        {"column": "order_date", "max_value": "{as_of}"},
        "update marts.orders set order_date = date '2024-04-01' where id = 3",
    ),
    "one_column_above_another": (
        "expect_column_pair_values_a_to_be_greater_than_b",
        {"column_A": "ordered_at", "column_B": "order_date", "or_equal": True},
        "update marts.orders set order_date = date '2024-04-09' where id = 3",
    ),
    "recent_day": (
        "expect_column_max_to_be_between",
        {"column": "order_date", "min_value": "{as_of-14d}"},
        "delete from marts.orders where order_date >= date '2024-03-17'",
    ),
    "oldest_day": (
        "expect_column_min_to_be_between",
        {"column": "order_date", "min_value": "1990-01-01"},
        "update marts.orders set order_date = date '1970-01-01' where id = 3",
    ),
    "lowest_score": (
        "expect_column_min_to_be_between",
        {"column": "score", "min_value": 1, "max_value": 1},
        "delete from marts.orders where score = 1",
    ),
    "mean": (
        "expect_column_mean_to_be_between",
        {"column": "net_revenue", "min_value": 11, "max_value": 13},
        "update marts.orders set net_revenue = net_revenue * 100",
    ),
    "median": (
        "expect_column_median_to_be_between",
        {"column": "net_revenue", "min_value": 11, "max_value": 13},
        "update marts.orders set net_revenue = net_revenue * 100",
    ),
    "quantiles": (
        "expect_column_quantile_values_to_be_between",
        {"column": "net_revenue", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[11, 13]]}},
        "update marts.orders set net_revenue = net_revenue * 100",
    ),
    "standard_deviation": (
        "expect_column_stdev_to_be_between",
        {"column": "net_revenue", "max_value": 5},
        "update marts.orders set net_revenue = 10000 where id = 3",
    ),
    "distinct_count": (
        "expect_column_unique_value_count_to_be_between",
        {"column": "segment", "min_value": 3, "max_value": 3},
        "update marts.orders set segment = 'seg1' where segment = 'seg2'",
    ),
    "sum": (
        "expect_column_sum_to_be_between",
        {"column": "net_revenue", "min_value": 7000},
        "delete from marts.orders where id > 300",
    ),
}


def test_every_kind_of_expectation_passes_on_good_rows_and_goes_red_with_its_fault(tmp_path):
    entries = [{**entry(kind, kwargs), "name": name} for name, (kind, kwargs, _) in KINDS.items()]
    suites = {"marts__orders": yaml.safe_dump({"expectations": entries})}
    statements = [GOOD]
    for one, (name, (_, _, fault)) in zip(entries, KINDS.items(), strict=True):
        suites[f"marts__{name}"] = yaml.safe_dump({"expectations": [{**one, "name": f"{name}_broken"}]})
        statements += [
            f"create table marts.{name} as from marts.orders",
            fault.replace("marts.orders", f"marts.{name}"),
        ]
    results = check(home_with(tmp_path / "home", *statements), suite_folder(tmp_path, **suites))
    assert {name: result.observed for name, result in results.items() if name in KINDS and not result.success} == {}
    assert [name for name in KINDS if not results[f"{name}_broken"].blocks] == []


def test_every_kind_of_expectation_that_a_shipped_suite_uses_is_proved_to_go_red():
    used = {entry.type for stage in STAGES for suite in load_suites(stage) for entry in suite.expectations}
    assert used <= {kind for kind, _, _ in KINDS.values()}


def test_a_warning_is_reported_and_stops_nothing(tmp_path):
    folder = suite_folder(
        tmp_path,
        marts__orders=yaml.safe_dump(
            {
                "expectations": [
                    entry("expect_column_max_to_be_between", {"column": "net_revenue", "max_value": 1}, "warning")
                ]
            }
        ),
    )
    result = check(home_with(tmp_path / "home", GOOD), folder)["tried"]
    assert not result.success
    assert not blocking([result])
    assert "expected max_value 1" in result.message


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"type": "expect_colum_mean_to_be_between"}, "expect_colum_mean_to_be_between"),
        ({"kwargs": {"column": "net_revenue", "minimum": 1}}, "minimum"),
        ({"kwargs": {"min_value": 1}}, "column"),
        ({"kwargs": {"column": "net_revenu", "min_value": 1}}, "net_revenu"),
        ({"severity": "fatal"}, "fatal"),
        ({"reason": " "}, "no reason"),
        ({"arguments": {}}, "arguments"),
        ({"type": "expect_column_values_to_match_regex", "kwargs": {"column": "segment", "regex": "x"}}, "dbt test"),
    ],
)
def test_a_misspelt_expectation_fails_loudly_with_file_and_expectation(tmp_path, change, named):
    good = entry("expect_column_mean_to_be_between", {"column": "net_revenue", "min_value": 1})
    folder = suite_folder(tmp_path, marts__orders=yaml.safe_dump({"expectations": [{**good, **change}]}))
    home = home_with(tmp_path / "home", GOOD)
    with pytest.raises(UnusableInput) as raised:
        check(home, folder)
    assert "marts.orders.yml" in str(raised.value)
    assert named in str(raised.value)


@pytest.mark.parametrize(
    ("drift", "named"),
    [
        ({"metric": "row"}, "row"),
        ({"metric": "null_rate", "column": "emial", "max_rise": 0.1}, "emial"),
        ({"metric": "null_rate", "max_rise": 0.1}, "needs a column"),
        ({"metric": "rows", "min_ration": 0.1}, "min_ration"),
        ({"metric": "rows", "min_ratio": "a lot"}, "a lot"),
        ({"metric": "rows"}, "needs a limit"),
    ],
)
def test_a_misspelt_drift_entry_fails_loudly_with_file_and_entry(tmp_path, drift, named):
    spec = {"severity": "warning", "reason": "tried", **drift}
    folder = suite_folder(tmp_path, marts__orders=yaml.safe_dump({"drift": [spec]}))
    with pytest.raises(UnusableInput) as raised:
        check(home_with(tmp_path / "home", GOOD), folder)
    assert "marts.orders.yml" in str(raised.value)
    assert named in str(raised.value)


def test_a_suite_of_a_table_that_is_not_there_fails_loudly(tmp_path):
    folder = suite_folder(
        tmp_path, marts__oders=yaml.safe_dump({"expectations": [entry("expect_table_row_count_to_be_between", {})]})
    )
    with pytest.raises(UnusableInput, match=r"marts\.oders"):
        check(home_with(tmp_path / "home", GOOD), folder)


def test_a_file_whose_name_says_no_table_is_refused(tmp_path):
    folder = suite_folder(tmp_path, orders="expectations: []")
    with pytest.raises(UnusableInput, match="name it"):
        check(home_with(tmp_path / "home", GOOD), folder)


def test_an_optional_table_without_rows_passes_and_a_required_one_does_not(tmp_path):
    body = {"expectations": [entry("expect_column_mean_to_be_between", {"column": "net_revenue", "min_value": 1})]}
    home = home_with(tmp_path / "home", GOOD, "delete from marts.orders")
    optional = suite_folder(tmp_path / "a", marts__orders=yaml.safe_dump({"optional": True, **body}))
    required = suite_folder(tmp_path / "b", marts__orders=yaml.safe_dump(body))
    result = check(home, optional)["tried"]
    assert result.success
    assert not result.judged
    assert result.observed == "the table has no rows"
    assert check(home, required)["tried"].blocks


def test_raw_text_is_checked_as_what_it_reads_as(tmp_path):
    home = home_with(
        tmp_path / "home",
        "create table raw.orders (order_id varchar, total varchar)",
        "insert into raw.orders values ('1', '10.5'), ('2', '12,5o'), ('3', '99999')",
    )
    folder = suite_folder(
        tmp_path,
        raw__orders=yaml.safe_dump(
            {
                "columns": {"total": "try_cast(total as decimal(18, 4))"},
                "expectations": [entry("expect_column_values_to_be_between", {"column": "total", "max_value": 1000})],
            }
        ),
    )
    result = check(home, folder, stage="raw")["tried"]
    assert (result.success, result.rows_checked, result.rows_failed) == (False, 3, 1)


def test_no_value_of_a_failing_row_reaches_results_or_data_docs(tmp_path):
    home = home_with(
        tmp_path / "home", "create table marts.orders as select 'secret@example.org' as email, -7654321 as n"
    )
    folder = suite_folder(
        tmp_path,
        marts__orders=yaml.safe_dump(
            {
                "expectations": [
                    {**entry("expect_column_values_to_be_between", {"column": "n", "min_value": 0}), "name": "n"},
                    {
                        **entry("expect_column_values_to_be_in_set", {"column": "email", "value_set": ["x"]}),
                        "name": "e",
                    },
                ]
            }
        ),
    )
    results = check(home, folder)
    assert not results["e"].success
    assert not results["n"].success
    written = "".join(path.read_text(encoding="utf-8") for path in home.docs.rglob("*.html"))
    assert "secret@example.org" not in written + str(results)
    assert "7654321" not in written + str(results)


def test_data_docs_and_a_front_page_over_both_stages_stand_where_one_can_look(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    home = home_with(tmp_path / "home", GOOD, "create table raw.orders as select '1' as order_id")
    one = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}, "severity": "critical"}
    folder = suite_folder(
        tmp_path,
        raw__orders=yaml.safe_dump({"expectations": [{**one, "reason": "raw rows <are> needed"}]}),
        marts__orders=yaml.safe_dump({"expectations": [{**one, "reason": "mart rows are needed"}]}),
    )
    check(home, folder, stage="raw")
    check(home, folder, stage="marts")
    check(home, folder, stage="marts", run_id="run-2")
    front = (home.docs / "index.html").read_text(encoding="utf-8")
    assert "raw rows &lt;are&gt; needed" in front
    assert "mart rows are needed" in front
    assert "run run-2 as of 2024-03-31" in front
    for stage in STAGES:
        assert (home.docs / stage / "index.html").is_file()
        assert any((home.docs / stage / "validations").rglob("*.html"))
    assert not list(home.docs.glob("*.new"))
    assert not list(scratch.iterdir())  # Great Expectations would leave a copy of the pages there


DRIFT = yaml.safe_dump(
    {
        "drift": [
            {"metric": "rows", "baseline": "last", "min_ratio": 0.9, "severity": "critical", "reason": "loss"},
            {"metric": "recent_rows_per_day", "column": "ordered_at", "window_days": 7, "min_history": 2,
             "min_ratio": 0.5, "severity": "warning", "reason": "flow"},
            {"metric": "null_rate", "column": "customer_key", "max_change": 0.1, "severity": "warning",
             "reason": "nulls"},
            {"metric": "mean", "column": "net_revenue", "max_ratio": 2, "severity": "warning", "reason": "unit"},
            {"metric": "min", "column": "net_revenue", "max_fall": 5, "severity": "warning", "reason": "range"},
            {"metric": "max", "column": "net_revenue", "max_ratio": 2, "severity": "warning", "reason": "range"},
            {"metric": "distribution", "column": "segment", "max_total_variation": 0.2, "severity": "warning",
             "reason": "mix"},
        ]
    }
)  # fmt: skip


def failing(results):
    return {name for name, result in results.items() if not result.success}


def test_a_first_run_has_no_history_and_later_runs_are_judged_by_it(tmp_path):
    home, folder = home_with(tmp_path / "home", GOOD), suite_folder(tmp_path, marts__orders=DRIFT)
    first = check(home, folder, run_id="r1", as_of=AS_OF - timedelta(days=2))
    assert failing(first) == set()
    assert all("no history yet" in result.observed for result in first.values())
    second = check(home, folder, run_id="r2", as_of=AS_OF - timedelta(days=1))
    assert failing(second) == set()
    assert second["drift__rows"].judged
    assert not second["drift__recent_rows_per_day__ordered_at"].judged
    faults = {
        "drift__rows": "delete from marts.orders where id % 5 = 0",
        "drift__recent_rows_per_day__ordered_at": "delete from marts.orders where order_date > date '2024-03-25'",
        "drift__null_rate__customer_key": "update marts.orders set customer_key = null where id % 2 = 0",
        "drift__mean__net_revenue": "update marts.orders set net_revenue = net_revenue * 3",
        "drift__min__net_revenue": "update marts.orders set net_revenue = 1 where id = 5",
        "drift__max__net_revenue": "update marts.orders set net_revenue = 100 where id = 5",
        "drift__distribution__segment": "update marts.orders set segment = 'seg0' where segment = 'seg2'",
    }
    for name, fault in faults.items():
        replace(home, GOOD)
        replace(home, fault)
        assert name in failing(check(home, folder, run_id=f"try-{name}", as_of=AS_OF)), name


def test_what_a_refused_run_measured_never_becomes_the_new_normal(tmp_path):
    home, folder = home_with(tmp_path / "home", GOOD), suite_folder(tmp_path, marts__orders=DRIFT)
    check(home, folder, run_id="r1", as_of=AS_OF - timedelta(days=3))
    replace(home, "delete from marts.orders where id % 2 = 0")
    for attempt in range(3):
        results = check(home, folder, run_id=f"bad-{attempt}", as_of=AS_OF - timedelta(days=2 - attempt))
        assert results["drift__rows"].blocks


def test_a_change_that_was_meant_can_be_accepted_once_and_is_the_baseline_from_then_on(tmp_path):
    home, folder = home_with(tmp_path / "home", GOOD), suite_folder(tmp_path, marts__orders=DRIFT)
    check(home, folder, run_id="r1", as_of=AS_OF - timedelta(days=2))
    replace(home, "delete from marts.orders where id % 2 = 0")
    accepted = check(home, folder, run_id="r2", as_of=AS_OF - timedelta(days=1), accept_drift=True)["drift__rows"]
    assert not accepted.success
    assert not accepted.blocks
    assert "accepted for this run" in accepted.observed
    assert check(home, folder, run_id="r3", as_of=AS_OF)["drift__rows"].success


def test_a_backdated_run_is_compared_with_what_came_before_it_only(tmp_path):
    home, folder = home_with(tmp_path / "home", GOOD), suite_folder(tmp_path, marts__orders=DRIFT)
    check(home, folder, run_id="today", as_of=AS_OF)
    replace(home, "delete from marts.orders where id % 2 = 0")
    assert not check(home, folder, run_id="past", as_of=AS_OF - timedelta(days=30))["drift__rows"].judged


def test_a_repeat_of_a_run_replaces_its_own_results_and_a_repeated_day_is_one_observation(tmp_path):
    home, folder = home_with(tmp_path / "home", GOOD), suite_folder(tmp_path, marts__orders=DRIFT)
    for run_id in ("r1", "r1", "r2"):
        results = check(home, folder, run_id=run_id)
    assert not results["drift__recent_rows_per_day__ordered_at"].judged  # one earlier day, two are asked for
    with duckdb.connect(str(home.state)) as con:
        kept = con.execute("select run_id, count(*) from quality.check_results group by 1 order by 1").fetchall()
    assert kept == [("r1", 7), ("r2", 7)]


def test_results_of_a_refused_run_are_kept_with_their_reason(tmp_path):
    body = {"expectations": [entry("expect_table_row_count_to_be_between", {"min_value": 1000})]}
    folder = suite_folder(tmp_path, marts__orders=yaml.safe_dump(body))
    home = home_with(tmp_path / "home", GOOD)
    assert check(home, folder)["tried"].blocks
    with duckdb.connect(str(home.state)) as con:
        rows = con.execute(
            "select run_id, as_of, table_name, check_name, severity, success, observed, reason "
            "from quality.check_results"
        ).fetchall()
    assert rows == [
        ("run-1", AS_OF, "orders", "tried", "critical", False, "600", "expect_table_row_count_to_be_between is tried")
    ]


def test_results_come_one_for_each_announced_check_in_order(tmp_path):
    body = {"expectations": [entry("expect_table_row_count_to_be_between", {"min_value": 1})]}
    drift = {"metric": "rows", "min_ratio": 0.5, "severity": "warning", "reason": "loss"}
    folder = suite_folder(tmp_path, marts__orders=yaml.safe_dump({**body, "drift": [drift]}))
    announced = expected_checks("marts", folder)
    assert [check.check_name for check in announced] == list(check(home_with(tmp_path / "home", GOOD), folder))


def test_a_table_longer_than_a_cursor_holds_is_checked_and_one_that_must_be_read_whole_is_refused(tmp_path):
    home = home_with(tmp_path, f"create table marts.orders as select i as id from range({MOST_ROWS} + 1) as t(i)")
    counted = entry("expect_column_values_to_not_be_null", {"column": "id"})
    found = check(home, suite_folder(tmp_path / "a", marts__orders=yaml.safe_dump({"expectations": [counted]})))
    assert (found["tried"].success, found["tried"].rows_checked) == (True, MOST_ROWS + 1)
    read = entry("expect_column_distinct_values_to_contain_set", {"column": "id", "value_set": [1]})
    suite = suite_folder(tmp_path / "b", marts__orders=yaml.safe_dump({"expectations": [read]}))
    with pytest.raises(UnusableInput, match=r"orders.yml: expectation .* more than 10,000 rows .* write a dbt test"):
        check(home, suite)


def test_the_checks_leave_no_connection_to_the_warehouse_behind(tmp_path):
    body = {"expectations": [entry("expect_table_row_count_to_be_between", {"min_value": 1})]}
    folder = suite_folder(tmp_path, marts__orders=yaml.safe_dump(body))
    home = home_with(tmp_path / "home", GOOD)
    check(home, folder)
    with duckdb.connect(str(home.warehouse), read_only=False) as con:  # refused while a reader holds the file
        con.execute("create table marts.written (i integer)")


def test_every_shipped_suite_is_spelt_right_and_says_why():
    from ritorno.quality import gx

    for stage in STAGES:
        suites = load_suites(stage)
        assert suites
        assert len(gx.build(suites, date(2024, 3, 31))) == sum(len(suite.expectations) for suite in suites)


def test_announcing_the_checks_does_not_import_great_expectations():
    import subprocess

    code = "from ritorno.quality import expected_checks as c; c('raw'); c('marts'); import sys; "
    code += "sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT).returncode == 0


def test_every_raw_suite_names_a_table_of_the_contract():
    from ritorno import contract

    known = {table.identifier for table in contract.raw_tables()}
    named = {Path(suite.path).stem.removeprefix("raw.") for suite in load_suites("raw")}
    assert named <= known


def test_every_mart_suite_names_a_mart_of_the_project():
    marts = {path.stem for path in (PROJECT_ROOT / "models" / "marts").rglob("*.sql")}
    assert {suite.table for suite in load_suites("marts")} <= marts
