"""What the audience commands print: counts and keys, never an address."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table

from ritorno.audiences import exposures, operate
from ritorno.audiences.destinations.base import Kind
from ritorno.audiences.engine import Report
from ritorno.audiences.operate import Context
from ritorno.audiences.planner import Plan
from ritorno.errors import RitornoError, UnusableInput
from ritorno.home import Home

_KINDS = {Kind.ERASE: "erase", Kind.REMOVE: "remove", Kind.UPDATE: "update", Kind.ADD: "add"}


def show_plan(home: Home, name: str) -> int:
    """`ritorno plan`."""
    context = Context.of(home)
    audience = exposures.find(context.manifest, name)
    report, doors, sample = operate.plan(context, audience)
    plan = report.plan
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Audience {audience.name}: segment {audience.segment} to {audience.meta.destination['type']}, "
                  f"mode {audience.meta.mode}", markup=False)  # fmt: skip
    console.print(_waterfall(plan))
    console.print(_changes(plan))
    if plan.note:
        console.print(plan.note, markup=False)
    if sample:
        table = Table(title="Sample", title_justify="left", title_style="bold")
        for column in ("operation", "customer_key", "because"):
            table.add_column(column)
        for kind, customer, reason in sample:
            table.add_row(_KINDS[Kind(kind)], customer, reason)
        console.print(table)
    for trip in plan.trips:
        console.print(f"Guard {trip.guard}: {trip.message}", markup=False, style="red")
    for door in doors:
        console.print(f"Nothing would leave now: {door}", markup=False, style="yellow")
    console.print(f"Plan {plan.digest}", markup=False)
    console.print(f"  ritorno {'approve ' + plan.digest if plan.trips else 'send ' + audience.name}", markup=False)
    return 0


def _waterfall(plan: Plan) -> Table:
    table = Table(title="Who is left out, by first reason", title_justify="left", title_style="bold")
    table.add_column("step")
    table.add_column("customers", justify="right")
    table.add_column("remaining", justify="right")
    left = plan.members
    table.add_row("in the segment", "", f"{left:,}")
    for reason, detail, customers in plan.exclusions:
        left -= customers
        table.add_row(reason + (f" ({detail})" if detail else ""), f"-{customers:,}", f"{left:,}")
    table.add_row("wanted", "", f"{plan.wanted:,}")
    return table


def _changes(plan: Plan) -> Table:
    table = Table(title=f"Changes to the {plan.baseline:,} there", title_justify="left", title_style="bold")
    table.add_column("operation")
    table.add_column("members", justify="right")
    for kind in Kind:
        table.add_row(_KINDS[kind], f"{plan.counts[kind]:,}")
    if plan.forced:
        table.add_row("of them through any guard", f"{plan.forced:,}")
    return table


def send(home: Home, names: Sequence[str], everything: bool) -> int:
    """`ritorno send`: every audience named, one failing doesn't stop the others; the worst exit code."""
    context = Context.of(home)
    known = exposures.audiences(context.manifest)
    if everything == bool(names):
        raise UnusableInput("ritorno send: name audiences, or say --all")
    chosen = known if everything else [exposures.find(context.manifest, name) for name in names]
    if not chosen:
        raise UnusableInput("there are no audiences: an exposure with config.meta.audience makes one")
    return max(_send_one(context, audience) for audience in chosen)


def _send_one(context: Context, audience: exposures.Audience) -> int:
    try:
        report = operate.send(context, audience)
    except RitornoError as error:
        typer.echo(f"ritorno: {error}", err=True)
        return error.exit_code
    print_report(audience.name, report)
    return report.exit_code


def approve(home: Home, digest: str) -> int:
    """`ritorno approve`."""
    report = operate.approve(Context.of(home), digest)
    print_report(report.plan.audience.name, report)
    return report.exit_code


def print_report(name: str, report: Report) -> None:
    """One run in a line or two."""
    plan, outcome = report.plan, report.outcome
    counts = ", ".join(f"{plan.counts[kind]:,} to {_KINDS[kind]}" for kind in Kind if plan.counts[kind])
    typer.echo(f"{name}: {report.status}, {plan.wanted:,} of {plan.members:,} wanted; {counts or 'nothing to change'}")
    answered = (
        f"  acknowledged {outcome.acknowledged:,}, refused {outcome.refused:,}, "
        f"unknown {outcome.unknown:,}, not sent {outcome.not_sent:,}"
    )
    if plan.operations:
        typer.echo(answered)
    if outcome.reason:
        typer.echo(f"  {outcome.reason}")
    if report.status == "held":
        for trip in plan.trips:
            typer.echo(f"  guard {trip.guard}: {trip.message}", err=True)
        if any(trip.guard == "empty" for trip in plan.trips) and not plan.members:
            typer.echo("  an empty segment is an error: see ritorno status, and the segment's model", err=True)
        typer.echo(f"  look: ritorno plan {name}; then: ritorno approve {plan.digest}", err=True)
    drift = {kind: count for kind, count in report.drift.items() if kind != "matching" and count}
    if drift:
        shown = ", ".join(f"{count:,} {kind}" for kind, count in drift.items())
        typer.echo(f"  read back: {shown} (table publish.drift)", err=True)


def explain(home: Home, text: str) -> int:
    """`ritorno explain`."""
    import os

    from ritorno.audiences import explain as explaining
    from ritorno.policy import load_policy

    found = explaining.explain(home, text, load_policy().values, operate.hmac_key(os.environ))
    for line in explaining.lines(found):
        typer.echo(line)
    return 0


def suppress(home: Home, address: str, reason: str | None) -> int:
    """`ritorno suppress`."""
    import os

    from ritorno.identity import normalise
    from ritorno.policy import load_policy

    key = operate.hmac_key(os.environ, required=True)
    assert key is not None
    for kind, read in normalise.readers(str(load_policy().values["default_phone_region"])).items():
        value = read(address).value
        if value is not None:
            is_new = operate.suppress(home, kind, value, reason, key)
            typer.echo(f"{'Suppressed' if is_new else 'Suppressed already'}: this {kind} address is never sent again")
            return 0
    raise UnusableInput("this is no e-mail address and no phone number; nothing was suppressed")
