"""Ritorno in Dagster: raw tables, dbt models, Python steps, checks and published marts as one graph of assets.

`dagster dev` in the repository's root and `ritorno refresh` run the same job `refresh`. What runs between the assets
is in the modules this one calls; here is only who depends on whom, when it runs, and what is shown.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, dbt_assets
from dagster_dbt import DbtProject as DagsterDbtProject
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage
from pydantic import PrivateAttr

from ritorno import lock, pipeline, publishing, shared_state
from ritorno.audiences import exposures
from ritorno.contract import raw_tables
from ritorno.dagster_speed import selected_by_tag
from ritorno.dbt import DbtProject, Manifest, Stage, marts, stages, with_stage_tags
from ritorno.errors import RitornoError
from ritorno.helper import helped
from ritorno.home import Home
from ritorno.policy import load_policy
from ritorno.quality import CheckResult, ExpectedCheck, expected_checks
from ritorno.report import address, shown_on
from ritorno.segments import shares
from ritorno.segments.definitions import load_segments, segment_nodes
from ritorno.session import TRANSIENT, Run, active, active_run
from ritorno.steps import PythonStep

POOL = "warehouse"
"""Everything that opens the warehouse for writing; dagster.yaml gives this pool one slot."""
JOB = "refresh"
SENDING_JOB = "refresh_and_send"
DAILY = "0 5 * * *"
AUDIENCE_GROUP = "audiences"
OWNERS = ("team:analytics",)
"""Of what no YAML speaks of: landing, checks, steps, publishing, state. Models say theirs in `meta.owner`."""
STALE_WARNING, STALE = timedelta(hours=26), timedelta(hours=36)
RETRIES, RETRY_SECONDS = 2, 5

HOME = Home.at().ensure()
_PLAIN: Manifest = DbtProject(HOME).manifest()
STAGES = stages(_PLAIN)
MANIFEST = with_stage_tags(_PLAIN, STAGES)
MARTS = marts(MANIFEST)


# --- the run's session


class Session(dg.ConfigurableResource):  # type: ignore[type-arg]
    """What a refresh was asked for; holds the home's lock and the run log while the run lasts.

    Every run is in one process (the in-process executor), so this is set up once per run.
    """

    raw: str = os.environ.get("RITORNO_RAW", "")
    sources: dict[str, str] = {}  # noqa: RUF012  pydantic copies it
    as_of: str = ""
    vars: str = os.environ.get("RITORNO_VARS", "")
    forget: list[str] = []  # noqa: RUF012
    backdate: bool = False
    full: bool = False
    _run: Run | None = PrivateAttr(default=None)

    @property
    def run(self) -> Run:
        """The run under way."""
        if self._run is None:
            raise RuntimeError("the session has not begun")
        return self._run

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Session"]:
        """Join the run of the command line, or begin one of our own (Dagster's daemon or user interface)."""
        running = active_run()
        if running is not None:
            self._run = running
            yield self
            return
        say = context.log.info if context.log else print
        request = pipeline.make_request(
            home=HOME,
            as_of=self.as_of or None,
            raw=self.raw or None,
            sources=self.sources,
            overrides=self.vars or None,
            forget=self.forget,
            backdate=self.backdate,
            full=self.full,
        )
        load_segments(MANIFEST)
        with lock.hold(request.home, on_wait=say), shared_state.locked(request.home, on_wait=say):
            request.refuse_backdating()
            run = Run(request)
            with run.recorded(), active(run):
                self._run = run
                yield self


def guarded(work: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Do a step's work: try again what may pass by itself, and give bad data no second try."""
    try:
        return work()
    except TRANSIENT as error:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_SECONDS) from error
    except RitornoError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


# --- raw tables


def raw_key(identifier: str) -> dg.AssetKey:
    """The asset of a raw table."""
    return dg.AssetKey(["raw", identifier])


LANDING = {
    dg.AssetKey([source["source_name"], source["identifier"]]): source
    for source in MANIFEST["sources"].values()
    if source["schema"] == "landing"
}
"""What landing writes beside the raw tables: rows that were no rows."""


@dg.multi_asset(
    name="land",
    specs=[
        dg.AssetSpec(
            raw_key(table.identifier),
            description=table.description,
            group_name="raw",
            owners=OWNERS,
            kinds={"duckdb", "file"},
            skippable=True,
        )
        for table in raw_tables()
    ]
    + [
        dg.AssetSpec(
            key,
            description=source["description"],
            group_name="raw",
            owners=OWNERS,
            kinds={"duckdb"},
            skippable=True,
        )
        for key, source in LANDING.items()
    ],
    pool=POOL,
)
def land(context: dg.AssetExecutionContext, session: Session) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Read new and changed files into the raw tables; unreadable rows go to quarantine."""
    rows: Mapping[str, int] = guarded(lambda: pipeline.land(session.run))
    for table in raw_tables():
        yield dg.MaterializeResult(
            asset_key=raw_key(table.identifier), metadata={"dagster/row_count": rows.get(table.identifier, 0)}
        )
    for key in LANDING:
        yield dg.MaterializeResult(asset_key=key)


def checked_key(stage: str) -> dg.AssetKey:
    """What everything that relies on a stage's checks waits for."""
    return dg.AssetKey(["checked", stage])


def _checks(stage: str, known: Mapping[str, dg.AssetKey]) -> dg.AssetsDefinition:
    """The expectations of a stage's known tables, each an asset check on its table.

    One asset stands for "this stage is checked", and what comes after waits for it: a critical check that fails fails
    this step. (Dagster's own `blocking` would put the checks of one mart before the next mart, in many rounds.)
    """
    expected: Sequence[ExpectedCheck] = [check for check in expected_checks(stage) if check.table in known]

    @dg.multi_asset(
        name=f"check_{stage}",
        specs=[
            dg.AssetSpec(
                checked_key(stage),
                deps=list(known.values()),
                description=f"The {stage} tables hold what expectations/{stage}.*.yml ask for.",
                group_name="checked",
                owners=OWNERS,
                kinds={"greatexpectations"},
                skippable=True,
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(check.check_name, asset=known[check.table], description=check.reason)
            for check in expected
        ],
        allow_arbitrary_check_specs=True,
        can_subset=True,  # a table materialised by hand brings its own checks, not those of every table
        pool=POOL,
    )
    def check_stage(context: dg.AssetExecutionContext, session: Session) -> Iterator[Any]:
        results = guarded(lambda: pipeline.check(session.run, stage, MARTS if stage == "marts" else ()))
        yield from _shown(context, results, known)
        guarded(lambda: pipeline.stop_if_blocked(stage, results))
        if checked_key(stage) in context.selected_asset_keys:
            yield dg.MaterializeResult(
                asset_key=checked_key(stage),
                metadata={
                    "checks": len(results),
                    "failed": sum(not result.success for result in results),
                    "data docs": dg.MetadataValue.url((session.run.home.docs / "index.html").as_uri()),
                },
            )

    return check_stage


def _shown(
    context: dg.AssetExecutionContext, results: Sequence[CheckResult], known: Mapping[str, dg.AssetKey]
) -> Iterator[dg.AssetCheckResult]:
    """The results that this run asked for, as Dagster's."""
    for result in results:
        key = known.get(result.table)
        if key and dg.AssetCheckKey(key, result.check_name) in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(
                passed=result.success,
                asset_key=key,
                check_name=result.check_name,
                severity=dg.AssetCheckSeverity.ERROR if result.severity == "critical" else dg.AssetCheckSeverity.WARN,
                metadata={"observed": result.observed, "expected": result.expected, "why": result.reason},
            )


# --- dbt models


class Translator(DagsterDbtTranslator):  # type: ignore[misc]  # mypy does not follow dagster-dbt
    """Asset keys and groups that mirror the project: [schema, model], a group per model folder."""

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DagsterDbtProject | None
    ) -> dg.AssetSpec:
        """dbt's node as an asset."""
        spec: dg.AssetSpec = super().get_asset_spec(manifest, unique_id, project)
        props = self.get_resource_props(manifest, unique_id)
        if any(str(parent).startswith("source.") for parent in props.get("depends_on", {}).get("nodes", [])):
            # once more for a memoised spec changes nothing: dependencies are by key
            deps = {dep.asset_key: dep for dep in [*spec.deps, dg.AssetDep(checked_key("raw"))]}
            spec = spec.replace_attributes(deps=list(deps.values()))
        return spec.replace_attributes(group_name=_group(props), owners=_owners(props))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """A source is its raw table's (or step's output's) asset; everything else is [schema, name]."""
        if dbt_resource_props["resource_type"] == "source":
            schema = "raw" if dbt_resource_props["schema"] == "raw" else dbt_resource_props["source_name"]
            return dg.AssetKey([schema, dbt_resource_props["identifier"]])
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])


def _group(props: Mapping[str, Any]) -> str:
    """The folders of the node's file: models/staging/files/x.sql is `staging_files`."""
    if props["resource_type"] == "source":
        return str(props["source_name"]) if props["schema"] != "raw" else "raw"
    folders = Path(props["original_file_path"]).parent.parts[1:]
    return "_".join(folders).replace("-", "_") or props["resource_type"]


def _owners(props: Mapping[str, Any]) -> list[str]:
    """The segment's owner, else `meta.owner` (dbt_project.yml gives each folder one): an e-mail address or a team."""
    meta = {**props.get("meta", {}), **props.get("config", {}).get("meta", {})}
    owner = meta.get("segment", {}).get("owner") or meta.get("owner")
    if not owner:
        return list(OWNERS)
    return [owner if "@" in owner else f"team:{owner}"]


TRANSLATOR = Translator()


def _stage_assets(stage: Stage) -> dg.AssetsDefinition:
    """One dbt stage: its models as assets, their tests as checks."""

    @dbt_assets(  # type: ignore[untyped-decorator]
        name=stage.name,
        manifest=MANIFEST,
        select=f"tag:{stage.name}",
        dagster_dbt_translator=TRANSLATOR,
        pool=POOL,
    )
    def build_stage(context: dg.AssetExecutionContext, session: Session) -> Iterator[Any]:
        with closing(pipeline.build(session.run, stage, _chosen(context, stage), MANIFEST)) as building:
            while told := guarded(lambda: next(building, None)):
                event, rows = told
                message = DbtCoreCliEventMessage(raw_event=dict(event), event_history_metadata={})
                for output in message.to_default_asset_events(MANIFEST, TRANSLATOR, context=context):
                    yield _with_decision(_with_row_count(output, rows), event, session.run)

    assets: dg.AssetsDefinition = build_stage
    return assets


def _chosen(context: dg.AssetExecutionContext, stage: Stage) -> list[str]:
    """The unique ids of what this run asks of the stage: its selected models and the tests that hang on them."""
    nodes = MANIFEST["nodes"]
    models = {
        unique_id
        for unique_id in stage.nodes
        if TRANSLATOR.get_asset_key(nodes[unique_id]) in context.selected_asset_keys
    }
    checks = {key.name for key in context.selected_asset_check_keys}
    tests = [
        unique_id
        for unique_id in stage.tests
        if nodes[unique_id]["name"] in checks
        or unique_id.rsplit(".", 1)[-1] in checks
        or {parent for parent in nodes[unique_id]["depends_on"].get("nodes", []) if parent in models}
    ]
    return [*sorted(models), *tests]


def _with_row_count(output: Any, rows: int | None) -> Any:  # noqa: ANN401
    if isinstance(output, dg.Output) and rows is not None:
        return output.with_metadata({**output.metadata, "dagster/row_count": rows})
    return output


def _with_decision(output: Any, event: Mapping[str, Any], run: Run) -> Any:  # noqa: ANN401
    """Show at a model that decides how others are built what it decided, and why."""
    made = run.decisions.get(event["data"]["node_info"]["node_name"])
    if isinstance(output, dg.Output) and made is not None:
        found: dict[str, Any] = {made.what: made.mode, "why": made.reason or "", made.unit: made.touched}
        return output.with_metadata({**output.metadata, **found})
    return output


# --- Python steps in between


def _model_key(name: str) -> dg.AssetKey:
    node = next(node for node in MANIFEST["nodes"].values() if node["name"] == name and node["resource_type"] != "test")
    return TRANSLATOR.get_asset_key(node)


def _step_assets(step: PythonStep) -> dg.AssetsDefinition:
    """A Python step: the tables it writes, made together."""

    @dg.multi_asset(
        name=step.name,
        specs=[
            dg.AssetSpec(
                dg.AssetKey(output.split(".")),
                deps=[_model_key(name) for name in step.reads(MANIFEST)] or [checked_key("raw")],
                description=step.description,
                group_name=step.name,
                owners=OWNERS,
                kinds={"python", "duckdb"},
            )
            for output in step.outputs
        ],
        pool=POOL,
    )
    def run_step(context: dg.AssetExecutionContext, session: Session) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        figures, rows = guarded(lambda: pipeline.run_step(session.run, step, MANIFEST))
        for output in step.outputs:
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(output.split(".")), metadata={**figures, "dagster/row_count": rows[output]}
            )

    return run_step


# --- segments

SEGMENTS = {node["name"]: TRANSLATOR.get_asset_key(node) for node in segment_nodes(MANIFEST)}


@dg.multi_asset(
    name="check_segments",
    specs=[
        dg.AssetSpec(
            checked_key(shares.STAGE),
            deps=[*SEGMENTS.values(), dg.AssetKey(["segment_state", "sizes"])],
            description="Each segment has the share of all people that its YAML expects.",
            group_name="checked",
            owners=OWNERS,
            kinds={"python"},
            skippable=True,
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(shares.CHECK, asset=key, description="Its share of all people is what its YAML expects.")
        for key in SEGMENTS.values()
    ],
    allow_arbitrary_check_specs=True,
    can_subset=True,
    pool=POOL,
)
def check_segments(context: dg.AssetExecutionContext, session: Session) -> Iterator[Any]:
    """Hold each segment against `expect` of its YAML."""
    results = guarded(lambda: pipeline.check_segments(session.run, MANIFEST))
    yield from _shown(context, results, SEGMENTS)
    guarded(lambda: pipeline.stop_if_blocked(shares.STAGE, results))
    if checked_key(shares.STAGE) in context.selected_asset_keys:
        yield dg.MaterializeResult(asset_key=checked_key(shares.STAGE), metadata={"checks": len(results)})


# --- publishing


def _columns(mart: Mapping[str, Any]) -> dg.TableSchema:
    """A mart's columns in the words of its YAML, for who reads it without dbt."""
    columns = mart["columns"].values()
    return dg.TableSchema(
        [dg.TableColumn(one["name"], str(one.get("data_type")), one.get("description") or None) for one in columns]
    )


@dg.multi_asset(
    name="publish",
    specs=[
        dg.AssetSpec(
            dg.AssetKey(["published", mart["name"]]),
            deps=[TRANSLATOR.get_asset_key(mart), checked_key("marts"), checked_key(shares.STAGE)],
            description=mart["description"],
            group_name="published",
            owners=OWNERS,
            kinds={"duckdb", "parquet"},
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=STALE, warn_window=STALE_WARNING),
            metadata={"dagster/column_schema": _columns(mart)},
        )
        for mart in MARTS
    ],
    can_subset=False,  # all marts of a run are published together, or none
    pool=POOL,
)
def publish(context: dg.AssetExecutionContext, session: Session) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Copy the marts into a new run folder and point `published` to it."""
    published = guarded(lambda: pipeline.publish(session.run, MARTS))
    shown = helped(shown_on, [mart["name"] for mart in MARTS])
    for mart in MARTS:
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(["published", mart["name"]]),
            metadata={
                "dagster/row_count": published.row_counts[mart["name"]],
                "run": published.run_id,
                "as of": published.as_of.isoformat(),
                "file": dg.MetadataValue.path(str(session.run.home.published / publishing.FILE_FOR_BI)),
                "parquet": dg.MetadataValue.path(
                    str(session.run.home.published / "parquet" / f"{mart['name']}.parquet")
                ),
                **_report_links(session.run.home, shown[mart["name"]]),
            },
        )


def _report_links(home: Home, pages: Sequence[str]) -> dict[str, dg.MetadataValue[Any]]:
    return {f"report: {page}": dg.MetadataValue.url(address(home, page)) for page in pages}


WRITTEN = dg.AssetKey(["state", "written"])
"""What waits until the state of the day is written: sending."""


@dg.multi_asset(
    name="write_state",
    specs=[
        dg.AssetSpec(
            WRITTEN,
            deps=[dg.AssetKey(["published", mart["name"]]) for mart in MARTS],
            description="What outlives the warehouse (stays in segments), written last, in one transaction, by as-of.",
            group_name="state",
            owners=OWNERS,
            kinds={"duckdb"},
        )
    ],
    pool=POOL,
)
def write_state(context: dg.AssetExecutionContext, session: Session) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Write the state store."""
    return dg.MaterializeResult(metadata=dict(guarded(lambda: pipeline.write_state(session.run))))


# --- audiences

AUDIENCES = exposures.audiences(MANIFEST)
AUDIENCE_CHECKS = {
    "guards": "The plan is within the audience's guards, and its doors (freshness, send window) are open.",
    "acknowledged": "The destination answered everything, and refused nobody.",
    "applied": "What the destination shows is what it acknowledged, where it can be read back.",
}


def _audience_asset(audience: exposures.Audience) -> dg.AssetsDefinition:
    """An audience: sent after everything was published and the state of the day is written. Counts only, no keys."""
    key = dg.AssetKey(["audiences", audience.name])

    @dg.multi_asset(
        name=f"send_{audience.name}",
        specs=[
            dg.AssetSpec(
                key,
                deps=[WRITTEN, SEGMENTS[audience.segment]],
                description=audience.description,
                group_name=AUDIENCE_GROUP,
                owners=[audience.owner if "@" in audience.owner else f"team:{audience.owner}"]
                if audience.owner
                else [],
                kinds={"python"},
            )
        ],
        check_specs=[dg.AssetCheckSpec(name, asset=key, description=text) for name, text in AUDIENCE_CHECKS.items()],
        pool=POOL,
    )
    def send_audience(context: dg.AssetExecutionContext, session: Session) -> Iterator[Any]:
        sent = guarded(lambda: pipeline.send_audience(session.run, audience, MANIFEST))
        yield dg.MaterializeResult(asset_key=key, metadata=dict(sent.figures))
        for name, problem in sent.problems.items():
            yield dg.AssetCheckResult(
                passed=problem is None,
                asset_key=key,
                check_name=name,
                severity=dg.AssetCheckSeverity.WARN if name == "applied" else dg.AssetCheckSeverity.ERROR,
                metadata={"problem": problem or "none"},
            )

    return send_audience


# --- the job, and when it starts


@dg.failure_hook(required_resource_keys={"session"})
def say_why(context: dg.HookContext) -> None:
    """Leave the reason where people look: Dagster's log, and the run log that `ritorno status` reads."""
    session: Session = context.resources.session
    error = context.op_exception or RuntimeError("stopped without saying why")
    wrapped = isinstance(error, dg.Failure | dg.RetryRequested) and error.__cause__ is not None
    cause = error.__cause__ if wrapped and error.__cause__ else error
    session.run.stop(context.op.name, cause)
    stopped = session.run.stopped
    context.log.error(f"refresh stopped at {stopped.step}: {stopped.reason}" if stopped else str(error))


refresh = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.all() - dg.AssetSelection.groups(AUDIENCE_GROUP),
    hooks={say_why},
    executor_def=dg.in_process_executor,
    description="Land, check, build, check again, publish. Nothing is published unless every blocking check passed.",
)
refresh_and_send = dg.define_asset_job(
    SENDING_JOB,
    selection=dg.AssetSelection.all(),
    hooks={say_why},
    executor_def=dg.in_process_executor,
    description="A refresh, and then every audience. Nothing leaves unless that very refresh was published.",
)

TIME_ZONE = str(load_policy().values["business_timezone"])


@dg.schedule(job=refresh_and_send, cron_schedule=DAILY, execution_timezone=TIME_ZONE)
def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Every morning as of yesterday, in the business time zone, and then the audiences."""
    as_of = context.scheduled_execution_time.date() - timedelta(days=1)
    return dg.RunRequest(
        run_key=f"as of {as_of.isoformat()}",
        run_config={"resources": {"session": {"config": {"as_of": as_of.isoformat()}}}},
    )


def listing(folder: Path) -> str:
    """A fingerprint of the files below a folder: names, sizes, times."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    lines = [f"{path.relative_to(folder)}|{path.stat().st_size}|{path.stat().st_mtime_ns}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dg.sensor(job=refresh, minimum_interval_seconds=60)
def new_raw_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Refresh when files came or changed below RITORNO_RAW, and have stopped changing for one tick."""
    folder = os.environ.get("RITORNO_RAW")
    if not folder or not Path(folder).is_dir():
        return dg.SkipReason("set RITORNO_RAW to the folder of raw files (ritorno dev --raw DIR does)")
    now = listing(Path(folder))
    before, _, done = (context.cursor or "|").partition("|")
    if now == done:
        return dg.SkipReason("no new files")
    if now != before:
        context.update_cursor(f"{now}|{done}")
        return dg.SkipReason("files are still arriving")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=now)], cursor=f"{now}|{now}")


def _definitions() -> dg.Definitions:
    steps = [step for after in STAGES.steps.values() for step in after]
    raw = {table.identifier: raw_key(table.identifier) for table in raw_tables()}
    built = {mart["name"]: TRANSLATOR.get_asset_key(mart) for mart in MARTS}
    with selected_by_tag(MANIFEST):
        stages_assets = [_stage_assets(stage) for stage in STAGES.dbt if stage.nodes]
    return dg.Definitions(
        assets=[
            land,
            _checks("raw", raw),
            *stages_assets,
            *[_step_assets(step) for step in steps],
            _checks("marts", built),
            check_segments,
            publish,
            write_state,
            *[_audience_asset(audience) for audience in AUDIENCES],
        ],
        jobs=[refresh, refresh_and_send],
        schedules=[daily],
        sensors=[new_raw_files],
        resources={"session": Session()},
        executor=dg.in_process_executor,
    )


defs = _definitions()
