"""What Dagster is told: one graph, every step once, checks before publishing, retries only for what may pass."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import dagster as dg
import duckdb
import pytest

from ritorno.errors import CheckFailed
from ritorno.home import Home
from ritorno.policy import load_policy
from ritorno.publishing import FILE_FOR_BI
from ritorno.refresh import forget_old_runs, prepare_instance
from ritorno.report import address, pages
from ritorno.session import Request, Run, active
from tests.report.shop import real_home, shared_folder


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    home = tmp_path_factory.mktemp("definitions")
    with patch.dict(os.environ, {"RITORNO_HOME": str(home)}):
        import ritorno.definitions

        yield ritorno.definitions


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, dg.DagsterInstance]]:
    """A home that was refreshed through the command line, and what Dagster remembers of it."""
    home = real_home(shared_folder(tmp_path_factory))
    with patch.dict(os.environ):
        prepare_instance(home)
        with dg.DagsterInstance.get() as instance:
            yield home, instance


def order(definitions: ModuleType) -> list[str]:
    job = definitions.defs.resolve_job_def(definitions.JOB)
    return [node.name for node in job.graph.nodes_in_topological_order]


def test_a_refresh_is_land_check_build_check_publish_and_nothing_runs_in_two_pieces(definitions: ModuleType) -> None:
    steps = order(definitions)
    assert len(steps) == len(set(steps))
    stages = [stage.name for stage in definitions.STAGES.dbt]
    unfed = {step.name for after in definitions.STAGES.steps.values() for step in after if not step.inputs}
    assert [step for step in steps if step not in unfed][:3] == ["land", "check_raw", stages[0]]
    assert steps[-3:] == ["check_marts", "publish", "write_state"]
    assert [step for step in steps if step in stages] == stages
    between = {step.name for after in definitions.STAGES.steps.values() for step in after}
    assert set(steps) == {
        "land",
        "check_raw",
        *stages,
        *between,
        "check_segments",
        "check_marts",
        "publish",
        "write_state",
    }


def test_an_audience_is_sent_after_the_state_is_written_in_the_sending_job_only(definitions: ModuleType) -> None:
    names = {f"send_{audience.name}" for audience in definitions.AUDIENCES}
    assert names
    assert not names & set(order(definitions))
    sending = definitions.defs.resolve_job_def(definitions.SENDING_JOB)
    steps = [node.name for node in sending.graph.nodes_in_topological_order]
    assert set(steps) - set(order(definitions)) == names
    assert min(steps.index(name) for name in names) > steps.index("write_state")
    specs = {spec.key: spec for spec in definitions.defs.resolve_all_asset_specs()}
    for audience in definitions.AUDIENCES:
        waits_for = {dep.asset_key for dep in specs[dg.AssetKey(["audiences", audience.name])].deps}
        assert waits_for == {definitions.WRITTEN, dg.AssetKey(["segments", audience.segment])}
    assert definitions.daily.job_name == definitions.SENDING_JOB
    assert definitions.new_raw_files.job_name == definitions.JOB


def test_every_published_mart_waits_for_its_model_and_all_checks_and_has_a_freshness_policy(
    definitions: ModuleType,
) -> None:
    specs = {spec.key: spec for spec in definitions.defs.resolve_all_asset_specs()}
    published = [key for key in specs if key.path[0] == "published"]
    assert {key.path[1] for key in published} == {mart["name"] for mart in definitions.MARTS}
    for key in published:
        waits_for = {dep.asset_key for dep in specs[key].deps}
        assert {dg.AssetKey(["marts", key.path[1]]), dg.AssetKey(["checked", "marts"])} <= waits_for
        assert specs[key].freshness_policy is not None


def test_assets_are_grouped_by_model_folder_and_described(definitions: ModuleType) -> None:
    specs = {spec.key: spec for spec in definitions.defs.resolve_all_asset_specs()}
    assert specs[dg.AssetKey(["staging", "stg_files__orders"])].group_name == "staging_files"
    assert specs[dg.AssetKey(["raw", "orders"])].group_name == "raw"
    customers = specs[dg.AssetKey(["marts", "customers"])]
    assert customers.group_name == "marts_customers"
    assert (customers.description or "").startswith("One row per")


def test_groups_mirror_the_folders_of_all_models(definitions: ModuleType) -> None:
    specs = {spec.key: spec for spec in definitions.defs.resolve_all_asset_specs()}
    models = [node for node in definitions.MANIFEST["nodes"].values() if node["resource_type"] in {"model", "seed"}]
    for node in models:
        folders = Path(node["original_file_path"]).parent.parts[1:]
        assert specs[dg.AssetKey([node["schema"], node["name"]])].group_name == "_".join(folders), node["name"]


def test_every_asset_says_what_it_is_and_who_answers_for_it(definitions: ModuleType) -> None:
    specs = list(definitions.defs.resolve_all_asset_specs())
    assert [spec.key for spec in specs if not (spec.description or "").strip()] == []
    assert [spec.key for spec in specs if not spec.owners] == []
    owners = {spec.key: list(spec.owners) for spec in specs}
    assert owners[dg.AssetKey(["marts", "customers"])] == ["team:analytics"]
    assert owners[dg.AssetKey(["segments", "vip"])] == ["team:crm"]  # its own YAML's, not its folder's
    published = next(spec for spec in specs if spec.key == dg.AssetKey(["published", "mrr_monthly"]))
    columns = {one.name: one for one in published.metadata["dagster/column_schema"].columns}
    assert columns["nrr"].type == "double"
    assert "kept / opening" in (columns["nrr"].description or "")


@pytest.mark.slow(45)  # where Spark and PostgreSQL aren't, the home that many tests share is made here
def test_a_materialisation_says_how_many_rows_it_has_and_which_page_of_the_report_shows_it(
    refreshed: tuple[Home, dg.DagsterInstance],
) -> None:
    home, instance = refreshed
    with duckdb.connect(str(home.published / FILE_FOR_BI), read_only=True) as con:
        [(customers,), (cohorts,)] = con.execute(
            "select count(*) from marts.customers union all select count(*) from marts.cohort_retention"
        ).fetchall()

    def said(*key: str) -> dict[str, object]:
        event = instance.get_latest_materialization_event(dg.AssetKey(list(key)))
        assert event is not None, key
        assert event.asset_materialization is not None
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}

    assert said("marts", "customers")["dagster/row_count"] == customers
    assert said("published", "customers")["dagster/row_count"] == customers
    assert isinstance(said("identity", "addresses")["dagster/row_count"], int)
    for model, what in (
        ("int_changes__front", "front"),
        ("int_changes__run", "heavy tier"),
        ("int_changes__subscription_run", "subscription tier"),
        ("int_changes__lifecycle_run", "lifecycles"),
    ):
        decided = said("intermediate", model)
        assert (decided[what], str(decided["why"])[:8]) == ("full", "policy: "), decided
    shown = said("published", "cohort_retention")
    assert shown["dagster/row_count"] == cohorts
    linked = [str(value) for name, value in shown.items() if name.startswith("report: ")]
    assert f"{(home.published / 'report' / 'cohorts.html').as_uri()}" in linked
    for link in [
        *linked,
        *(str(v) for k, v in said("published", "product_affinity").items() if k.startswith("report")),
    ]:
        assert Path(unquote(urlsplit(link).path)).is_file(), link
    assert Path(str(shown["file"])).is_file()
    assert Path(str(shown["parquet"])).is_file()
    assert Path(unquote(urlsplit(str(said("checked", "marts")["data docs"])).path)).is_file()


def test_links_to_the_report_lead_where_it_is_served(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with patch.dict(os.environ, {"RITORNO_REPORT_URL": "https://intranet.example/retention/"}):
        assert address(home, "cohorts") == "https://intranet.example/retention/cohorts.html"
    with patch.dict(os.environ):
        os.environ.pop("RITORNO_REPORT_URL", None)
        assert address(home) == (tmp_path / "published" / "report" / "index.html").as_uri()


def test_every_page_of_the_report_is_found_by_a_mart_that_it_shows(definitions: ModuleType) -> None:
    shown = {page for mart in definitions.MARTS for page in pages.showing(mart["name"])}
    assert len(shown) == len(pages.PAGES)


def test_every_model_that_reads_raw_waits_for_the_raw_checks(definitions: ModuleType) -> None:
    for spec in definitions.defs.resolve_all_asset_specs():
        if any(dep.asset_key.path[0] == "raw" for dep in spec.deps) and spec.key.path[0] != "checked":
            assert dg.AssetKey(["checked", "raw"]) in {dep.asset_key for dep in spec.deps}, spec.key


def test_every_dbt_test_is_an_asset_check(definitions: ModuleType) -> None:
    checks = {key.name for asset in definitions.defs.assets if hasattr(asset, "check_keys") for key in asset.check_keys}
    manifest = definitions.MANIFEST
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    read_models = [node for node in tests if not all(p.startswith("source.") for p in node["depends_on"]["nodes"])]
    missing = [node["name"] for node in read_models if node["name"] not in checks]
    assert missing == []


def test_everything_that_opens_the_warehouse_is_in_the_pool_of_one(definitions: ModuleType, tmp_path: Path) -> None:
    pools = {asset.op.pool for asset in definitions.defs.assets if isinstance(asset, dg.AssetsDefinition)}
    assert pools == {"warehouse"}
    with patch.dict(os.environ):
        prepare_instance(Home(tmp_path))
        with dg.DagsterInstance.get() as instance:
            config = instance.get_concurrency_config().pool_config
            assert (config.default_pool_limit, str(config.pool_granularity)) == (1, "PoolGranularity.RUN")
            assert not instance.telemetry_enabled


def executed(definitions: ModuleType, home: Home, errors: list[Exception]) -> tuple[bool, Run, int]:
    """Run a step that raises these errors, one an attempt, and then works."""
    attempts = 0

    @dg.op(required_resource_keys={"session"})
    def work(context) -> None:  # Dagster reads annotations, and can't when they are postponed
        nonlocal attempts
        attempts += 1

        def step() -> None:
            with context.resources.session.run.step("work"):
                if errors:
                    raise errors.pop(0)

        definitions.guarded(step)

    @dg.job(resource_defs={"session": definitions.Session()}, hooks={definitions.say_why})
    def job() -> None:
        work()

    run = Run(Request(home=home, as_of=date(2024, 3, 31), policy=load_policy()))
    with run.recorded(), active(run), patch.object(definitions, "RETRY_SECONDS", 0):
        result = job.execute_in_process(raise_on_error=False)
    return result.success, run, attempts


def test_a_lock_that_passes_by_itself_is_tried_again_and_leaves_no_reason(
    definitions: ModuleType, tmp_path: Path
) -> None:
    success, run, attempts = executed(definitions, Home(tmp_path), [duckdb.IOException("Could not set lock")])
    assert (success, attempts, run.stopped) == (True, 2, None)


def test_a_lock_that_does_not_pass_ends_with_a_readable_reason(definitions: ModuleType, tmp_path: Path) -> None:
    errors: list[Exception] = [duckdb.IOException("Could not set lock") for _ in range(5)]
    success, run, attempts = executed(definitions, Home(tmp_path), errors)
    assert (success, attempts) == (False, 3)
    assert run.stopped is not None
    assert "Could not set lock" in run.stopped.reason


def test_bad_data_gets_no_second_try(definitions: ModuleType, tmp_path: Path) -> None:
    success, run, attempts = executed(definitions, Home(tmp_path), [CheckFailed("12 orders without a total")])
    assert (success, attempts) == (False, 1)
    assert run.stopped is not None
    assert (run.stopped.step, run.stopped.reason) == ("work", "12 orders without a total")


def test_the_daily_run_is_as_of_yesterday_in_the_business_time_zone(definitions: ModuleType) -> None:
    assert definitions.daily.execution_timezone == "Europe/Berlin"
    at = datetime(2024, 4, 1, 3, 0, tzinfo=UTC)  # 05:00 in Berlin
    with dg.build_schedule_context(scheduled_execution_time=at) as context:
        request = definitions.daily(context)
    assert request.run_config["resources"]["session"]["config"]["as_of"] == "2024-03-31"


def test_the_sensor_waits_until_files_have_arrived_and_asks_once(definitions: ModuleType, tmp_path: Path) -> None:
    def tick(cursor: str | None) -> tuple[int, str | None]:
        with dg.build_sensor_context(cursor=cursor) as context:
            result = definitions.new_raw_files(context)
            if isinstance(result, dg.SkipReason):
                return 0, context.cursor
            return len(result.run_requests), result.cursor

    with patch.dict(os.environ, {"RITORNO_RAW": str(tmp_path)}):
        (tmp_path / "orders.csv").write_text("order_id\n1\n")
        asked, cursor = tick(None)
        assert asked == 0  # may still be arriving
        (tmp_path / "orders.csv").write_text("order_id\n1\n2\n")
        asked, cursor = tick(cursor)
        assert asked == 0
        asked, cursor = tick(cursor)
        assert asked == 1
        assert tick(cursor)[0] == 0


def test_dagsters_history_keeps_the_newest_runs_only() -> None:
    @dg.job
    def nothing() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        ids = [nothing.execute_in_process(instance=instance).run_id for _ in range(3)]
        forget_old_runs(instance, keep=2)
        assert set(instance.get_run_ids()) == set(ids[1:])


def test_one_mart_can_be_materialised_by_hand_with_its_own_checks(definitions: ModuleType) -> None:
    customers = dg.AssetKey(["marts", "customers"])
    job = definitions.defs.resolve_job_def(definitions.JOB).get_subset(asset_selection={customers})
    stage = next(s.name for s in definitions.STAGES.dbt if "model.ritorno.customers" in s.nodes)
    assert {node.name for node in job.graph.nodes} == {stage, "check_marts"}


def test_no_asset_is_without_a_group(definitions: ModuleType) -> None:
    groups = {spec.group_name for spec in definitions.defs.resolve_all_asset_specs()}
    assert groups.isdisjoint({None, "default"})
