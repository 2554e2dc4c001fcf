"""The `ritorno` command. Everything heavy is imported inside the commands, so that --help answers at once."""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from ritorno.errors import RitornoError, UnusableInput

if TYPE_CHECKING:
    from ritorno.refresh import Outcome
    from ritorno.simulate import SimulationReport

app = typer.Typer(
    name="ritorno",
    help="An open retention warehouse: raw orders and CRM tables in, checked customer marts out, every day.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

segments = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Look at segments and at their edits.")
app.add_typer(segments, name="segment")
state = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="The state that several homes share in PostgreSQL (RITORNO_STATE_URL): who has it, how to get it back.",
)
app.add_typer(state, name="state")

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Folder everything is written below. Default: RITORNO_HOME, else ./var."),
]
DEMO_CUSTOMERS = 2_000
DEMO_YEARS = 2.0
DEMO_SEED = 7
DEMO_END = date(2026, 6, 30)


def _example(text: str) -> str:
    return f"**Example:** `{text}`"


@app.command(epilog=_example("ritorno simulate shop --customers 5000 --seed 1 --years 3"))
def simulate(
    out: Annotated[Path, typer.Argument(help="A new or empty folder; OUT/raw gets the tables.")],
    customers: Annotated[int, typer.Option(help="How many people and companies.")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 1,
    years: Annotated[float, typer.Option(help="Length of the history.")] = 3.0,
    end: Annotated[str | None, typer.Option(help="Its last day, like 2026-06-30. Default: yesterday.")] = None,
    dirt: Annotated[float, typer.Option(help="Share of broken rows in each table, below 0.04.")] = 0.01,
    format: Annotated[str, typer.Option(help="csv or parquet.")] = "csv",
) -> None:
    """Write a believable shop whose truth is known: all raw tables, with dirt in them."""
    last_day = _date(end, "--end") if end else _yesterday()
    report = _simulate(out, customers, seed, years, last_day, dirt, format)
    _print_simulation(report, last_day)


@app.command(epilog=_example("ritorno refresh --raw exports/ --as-of 2026-06-30"))
def refresh(
    raw: Annotated[
        Path | None, typer.Option("--raw", help="Folder with orders.csv, refunds.parquet, customers/…: see RAW tables.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="The day that is described. Default: yesterday, in business time.")
    ] = None,
    home: HomeOption = None,
    vars: Annotated[
        str | None, typer.Option("--vars", help="Policy for this run: a YAML or JSON file, or JSON text.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="SYSTEM=PATH: files of another system. May be repeated.")
    ] = None,
    forget: Annotated[
        list[str] | None, typer.Option("--forget", help="A landed file whose rows are to go. May be repeated.")
    ] = None,
    backdate: Annotated[
        bool, typer.Option("--backdate", help="Publish although a newer day is published here.")
    ] = False,
    accept_drift: Annotated[
        bool,
        typer.Option(
            "--accept-drift",
            help="The data changed on purpose: drift only warns this once. Or RITORNO_ACCEPT_DRIFT=1.",
        ),
    ] = False,
    engine: Annotated[
        str,
        typer.Option(help="Where SQL runs: duckdb, postgres (RITORNO_POSTGRES_URL) or spark. Default: RITORNO_ENGINE."),
    ] = "",
    full: Annotated[
        bool, typer.Option("--full", help="Build every table whole, whatever the var incremental says.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Give up at once if another refresh is running.")] = False,
    send: Annotated[bool, typer.Option("--send", help="Send every audience once the marts are published.")] = False,
) -> None:
    """Land new files, build, check and publish the marts.

    Without --raw and --source the tables that a loader put into the warehouse's schema `raw` are used.

    Ends with 0 when the marts are published (and with --send everything was acknowledged), 1 when a check stopped it
    (what was published before stays) or an audience was held or is open, 2 when input or arguments can't be used.
    """
    _refresh(
        home=home,
        raw=raw,
        as_of=as_of,
        vars=vars,
        sources=source or [],
        forget=forget or [],
        backdate=backdate,
        accept_drift=accept_drift or None,
        engine=engine,
        full=full,
        wait=not no_wait,
        send=send,
    )


@app.command(epilog=_example("ritorno demo --home /tmp/shop"))
def demo(
    home: HomeOption = None,
    customers: Annotated[int, typer.Option(help="How many people and companies to simulate.")] = DEMO_CUSTOMERS,
) -> None:
    """Simulate a shop, refresh as of its last day, and show where to look and what it says."""
    from ritorno.home import Home

    chosen = Home.at(home)
    report = _simulate(chosen.demo, customers, DEMO_SEED, DEMO_YEARS, DEMO_END, 0.01, "csv")
    _print_simulation(report, DEMO_END)
    outcome = _refresh(home=chosen.root, raw=report.raw, as_of=DEMO_END.isoformat(), send=True, then_exit=False)
    if outcome.exit_code == 0:
        from ritorno.answers import print_answers

        print_answers(outcome.run.home)
    raise typer.Exit(outcome.exit_code)


@app.command(epilog=_example("ritorno dev --raw exports/ --port 3000"))
def dev(
    home: HomeOption = None,
    raw: Annotated[
        Path | None, typer.Option("--raw", help="Folder of raw files that the schedule and the sensor refresh from.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the user interface.")] = 3000,
    host: Annotated[str, typer.Option(help="Address it listens on.")] = "127.0.0.1",
) -> None:
    """Start Dagster: user interface, daily schedule, and the sensor on new files."""
    from ritorno.home import PROJECT_ROOT, Home
    from ritorno.refresh import prepare_instance

    chosen = Home.at(home)
    if raw is not None and not raw.is_dir():
        raise UnusableInput(f"--raw {raw}: no such folder")
    prepare_instance(chosen)
    if raw is not None:
        os.environ["RITORNO_RAW"] = str(raw.resolve())
    dagster = Path(sys.executable).with_name("dagster")
    os.chdir(PROJECT_ROOT)
    os.execv(dagster, [str(dagster), "dev", "-m", "ritorno.definitions", "-p", str(port), "-h", host])


@app.command(epilog=_example("ritorno report --home /tmp/shop"))
def report(home: HomeOption = None) -> None:
    """Draw the report of what is published anew, and say where it lies. Every refresh draws it by itself."""
    from ritorno import lock
    from ritorno.home import Home
    from ritorno.report import redraw

    chosen = Home.at(home)
    with lock.hold(chosen, wait=True, on_wait=typer.echo):
        typer.echo(redraw(chosen))


@app.command(epilog=_example("ritorno status"))
def status(home: HomeOption = None) -> None:
    """Say what is published and how fresh it is, how the last attempt went, and why it failed if it did."""
    from ritorno.home import Home
    from ritorno.status import print_status

    print_status(Home.at(home))


@app.command(epilog=_example("ritorno verify --home /srv/ritorno"))
def verify(
    home: HomeOption = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Compare an incremental run as of this day. Default: what stands.")
    ] = None,
    vars: Annotated[str | None, typer.Option("--vars", help="What the last refresh had as --vars.")] = None,
) -> None:
    """Build everything again from the landed tables, and compare every mart with what stands, value by value.

    Nothing that stands is changed. Ends with 0 when every value is the same, 1 when something differs (it says where),
    2 when there is nothing to compare.
    """
    from ritorno import verify as verification
    from ritorno.home import Home
    from ritorno.policy import load_policy

    day = _date(as_of, "--as-of") if as_of else None
    verdict = verification.verify(Home.at(home), load_policy(overrides=vars), day, typer.echo)
    for difference in verdict.differences:
        typer.echo(f"  {difference}")
    outcome = f"{len(verdict.differences)} marts differ" if verdict.differences else "every value is the same"
    typer.echo(
        f"{verdict.marts} marts, {verdict.rows:,} rows as of {verdict.as_of}: {outcome} ({verdict.seconds:.0f} s)"
    )
    raise typer.Exit(1 if verdict.differences else 0)


AudienceArgument = Annotated[str, typer.Argument(help="The exposure's name.")]


@app.command(epilog=_example("ritorno plan crm_at_risk"))
def plan(audience: AudienceArgument, home: HomeOption = None) -> None:
    """Show what sending an audience would do: added, removed, left out and why. Nothing leaves.

    Ends with 0, or 2 when the audience can't be planned.
    """
    from ritorno.audiences import terminal
    from ritorno.home import Home

    raise typer.Exit(terminal.show_plan(Home.at(home), audience))


@app.command(epilog=_example("ritorno approve 3f6c2a9b7d104e55"))
def approve(
    digest: Annotated[str, typer.Argument(help="Of the plan, as `ritorno plan` and a held send say it.")],
    home: HomeOption = None,
) -> None:
    """Send exactly the plan of this digest over its guards, or refuse because it has changed.

    Ends with 0 when everything was acknowledged, 1 when the plan has changed or something is open, 2 when there is no
    such plan.
    """
    from ritorno.audiences import terminal
    from ritorno.home import Home

    raise typer.Exit(terminal.approve(Home.at(home), digest))


@app.command(epilog=_example("ritorno send crm_at_risk") + " or `ritorno send --all`")
def send(
    audience: Annotated[list[str] | None, typer.Argument(help="Exposures, by name.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Every audience, one after the other.")] = False,
    home: HomeOption = None,
) -> None:
    """Send audiences to their destinations: who came, changed or left since the last acknowledgement.

    Nothing leaves unless the last refresh was published and is fresh, the audience's send window is open, and its
    guards agree. Consent is read now. Ends with 0 when everything was acknowledged, 1 when a guard or door stopped it
    or something is open (the next send goes on from there), 2 when it can't be done.
    """
    from ritorno.audiences import terminal
    from ritorno.home import Home

    raise typer.Exit(terminal.send(Home.at(home), audience or [], all))


@app.command(epilog=_example("ritorno explain anna@example.org"))
def explain(
    customer: Annotated[str, typer.Argument(help="Customer key, e-mail address, phone number, or source id.")],
    home: HomeOption = None,
) -> None:
    """Say in which segments and audiences a person is, or why not, and since when."""
    from ritorno.audiences import terminal
    from ritorno.home import Home

    raise typer.Exit(terminal.explain(Home.at(home), customer))


@app.command(epilog=_example("ritorno suppress anna@example.org --reason 'letter of 3 May'"))
def suppress(
    address: Annotated[str, typer.Argument(help="An e-mail address or phone number.")],
    reason: Annotated[str | None, typer.Option(help="Why, for the record; no personal data.")] = None,
    home: HomeOption = None,
) -> None:
    """Never write to an address again, nor to its owner: kept as a keyed hash (RITORNO_HMAC_KEY), for ever."""
    from ritorno.audiences import terminal
    from ritorno.home import Home

    raise typer.Exit(terminal.suppress(Home.at(home), address, reason))


@app.command(epilog=_example("ritorno erase anna@example.org"))
def erase(
    customer: Annotated[str, typer.Argument(help="Customer key, e-mail address, phone number, or source id.")],
    home: HomeOption = None,
) -> None:
    """Erase a person here and at every destination; orders and amounts stay. Needs RITORNO_HMAC_KEY.

    Ends with 0 when everything is done and acknowledged, 1 while a destination hasn't answered (run it again), 2 when
    the text means nobody or several.
    """
    from ritorno.home import Home
    from ritorno.privacy import terminal

    raise typer.Exit(terminal.run(Home.at(home), customer))


@state.command("show", epilog=_example("ritorno state show"))
def state_show(home: HomeOption = None) -> None:
    """Say which version is kept, since when and by whom, who has locked it, and what this home has."""
    from ritorno import shared_state
    from ritorno.home import Home

    _shares_state()
    kept, marker = shared_state.look(Home.at(home))
    stored = f" of {kept.stored_at:%Y-%m-%d %H:%M:%S} UTC by {kept.stored_by}, {kept.size:,} bytes" if kept.size else ""
    typer.echo(f"kept: version {kept.version}{stored}")
    typer.echo(f"locked by: {f'{kept.locked_by}, {kept.lock}' if kept.locked_by else 'nobody'}")
    typer.echo(f"this home ({marker.home_id}): {f'version {marker.version}' if marker.version else 'none yet'}")


@state.command("push", epilog=_example("ritorno state push"))
def state_push(home: HomeOption = None) -> None:
    """Store what a command of this home wrote before it was killed or lost the database, and unlock.

    The next command of this home would do the same.
    """
    from ritorno import shared_state
    from ritorno.home import Home

    _shares_state()
    typer.echo(f"version {shared_state.push(Home.at(home)).version} is kept, and nobody has it locked")


@state.command("force-unlock", epilog=_example("ritorno state force-unlock 6f0c2a9b7d104e55"))
def state_force_unlock(
    home_id: Annotated[str, typer.Argument(help="Of the home that has the lock, as `ritorno state show` says it.")],
    home: HomeOption = None,
) -> None:
    """Take the lock from a home that is lost for good, and go on with the version before it.

    What that home sent since it locked the state is not in it: members it wrote to may be written to again. A home that
    still stands should `ritorno state push` instead.
    """
    from ritorno import shared_state
    from ritorno.home import Home

    _shares_state()
    lost = shared_state.force_unlock(Home.at(home), home_id)
    typer.echo(f"taken from {lost.lock}. What it sent since then is not in version {lost.version}, which is kept")


def _shares_state() -> None:
    from ritorno import shared_state

    if not shared_state.is_shared():
        raise UnusableInput(f"{shared_state.STATE_URL} isn't set: this home keeps its state for itself")


FormatOption = Annotated[str, typer.Option("--format", help="table or json.")]


@segments.command("list", epilog=_example("ritorno segment list"))
def segment_list(home: HomeOption = None, format: FormatOption = "table") -> None:
    """List the segments with their owners, purposes and sizes as published."""
    from ritorno.home import Home
    from ritorno.segments import terminal

    _table_or_json(format)
    rows = terminal.listed(Home.at(home))
    if format == "json":
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        terminal.print_list(rows)


@segments.command("diff", epilog=_example("ritorno segment diff at_risk --against main --on 2026-05-31"))
def segment_diff(
    name: Annotated[str, typer.Argument(help="The segment: a file of models/segments without .sql.")],
    home: HomeOption = None,
    against: Annotated[
        str, typer.Option("--against", help="A git revision whose definition is what it is compared with.")
    ] = "HEAD",
    sql: Annotated[
        Path | None, typer.Option("--sql", help="A file with another definition, compared with the one that stands.")
    ] = None,
    on: Annotated[
        list[str] | None, typer.Option("--on", help="A day, like 2026-05-31. May be repeated. Default: the last one.")
    ] = None,
    format: FormatOption = "table",
) -> None:
    """Say whom an edited definition would have let in and put out, today and on past days, and why.

    Days are rebuilt in a scratch folder: neither the warehouse nor the state nor what is published changes.
    """
    from ritorno.dbt import DbtProject
    from ritorno.home import Home
    from ritorno.segments import diff, terminal

    _table_or_json(format)
    chosen = Home.at(home)
    days = sorted({_date(text, "--on") for text in on or []}) or [diff.default_day(chosen)]
    found = diff.definitions_of(name, DbtProject(chosen).manifest(), against=against, sql=sql)
    result = diff.compare(chosen, found, days)
    if format == "json":
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        terminal.print_diff(result)


def _table_or_json(format: str) -> None:
    if format not in ("table", "json"):
        raise UnusableInput(f"--format {format}: table or json")


def _simulate(
    out: Path, customers: int, seed: int, years: float, end: date, dirt: float, format: str
) -> SimulationReport:
    from ritorno.simulate import simulate as simulate_shop

    if format not in ("csv", "parquet"):
        raise UnusableInput(f"--format {format}: csv or parquet")
    kind: Literal["csv", "parquet"] = "csv" if format == "csv" else "parquet"
    return simulate_shop(out, customers=customers, seed=seed, years=years, end=end, dirt=dirt, format=kind)


def _refresh(
    *,
    home: Path | None,
    raw: Path | None,
    as_of: str | None,
    vars: str | None = None,
    sources: list[str] | None = None,
    forget: list[str] | None = None,
    backdate: bool = False,
    accept_drift: bool | None = None,
    engine: str = "",
    full: bool = False,
    wait: bool = True,
    send: bool = False,
    then_exit: bool = True,
) -> Outcome:
    from ritorno import helper

    with helper.started():  # they import while we do
        from ritorno import pipeline
        from ritorno.home import Home
        from ritorno.refresh import refresh as run_refresh
        from ritorno.terminal import Terminal, print_outcome

        request = pipeline.make_request(
            home=Home.at(home),
            as_of=as_of,
            raw=str(raw) if raw is not None else None,
            sources=_pairs(sources or []),
            overrides=vars,
            forget=forget or [],
            backdate=backdate,
            accept_drift=accept_drift,
            engine=engine,
            full=full,
        )
        with Terminal() as terminal:
            outcome = run_refresh(request, terminal, wait=wait, send=send)
    print_outcome(outcome)
    if then_exit:
        raise typer.Exit(outcome.exit_code)
    return outcome


def _pairs(sources: list[str]) -> dict[str, str]:
    from ritorno.landing import parse_source

    parsed = [parse_source(text) for text in sources]
    return {source.system: str(source.path) for source in parsed}


def _print_simulation(report: SimulationReport, end: date) -> None:
    rows = sum(report.rows.values())
    typer.echo(
        f"Simulated {report.persons:,} people and companies up to {end}: {rows:,} rows in {len(report.rows)} tables "
        f"below {report.raw} ({report.seconds:.1f} s)"
    )
    typer.echo(f"  ritorno refresh --raw {report.raw} --as-of {end}")


def _date(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UnusableInput(f"{option} {text}: not a date like 2026-06-30") from None


def _yesterday() -> date:
    from ritorno.policy import load_policy
    from ritorno.session import yesterday

    return yesterday(load_policy().values)


def _end(message: str, exit_code: int) -> NoReturn:
    typer.echo(f"ritorno: {message}", err=True)
    sys.exit(exit_code)


def _leave(end: SystemExit) -> NoReturn:
    """End the process without taking a million objects apart, which is a second after a refresh.

    What was registered for the end runs; threads that somebody left at work are waited for, as always.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    is_the_program = getattr(sys.modules["__main__"], "main", None) is main and "dagster" in sys.modules
    if is_the_program and isinstance(end.code, int | None) and all(thread.daemon for thread in others):
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(end.code or 0)
    raise end


def main() -> None:
    """The command line's entry: errors that a user can mend become one message and an exit code."""
    from ritorno.helper import collect_seldom

    collect_seldom()
    try:
        app()
    except SystemExit as end:
        _leave(end)
    except RitornoError as error:
        _end(str(error), error.exit_code)
    except KeyboardInterrupt:
        _end("interrupted; what was published before stays", 130)
    except Exception as error:
        if os.environ.get("RITORNO_DEBUG"):
            raise
        what = str(error).split("\n")[0]
        _end(f"unexpected {type(error).__name__}: {what} (RITORNO_DEBUG=1 shows where)", 1)
