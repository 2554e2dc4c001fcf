"""What `ritorno erase` prints: counts, keys and tokens, never what was erased."""

from __future__ import annotations

import typer

from ritorno.audiences.operate import Context
from ritorno.home import Home
from ritorno.privacy.erase import ERASED, PENDING, Proof, erase


def run(home: Home, text: str) -> int:
    """`ritorno erase`: 0 when everything is done and acknowledged, 1 while a destination hasn't answered."""
    proof = erase(Context.of(home), text)
    rows, values = sum(proof.raw.values()), sum(proof.tables.values())
    typer.echo(f"Customer {proof.customer_key}: {proof.status}")
    typer.echo(f"  {rows:,} raw rows, {values:,} values in {len(proof.tables):,} tables, {len(proof.files):,} files")
    for name, answer in proof.destinations.items():
        why = f" ({answer['reason']})" if answer["state"] == PENDING else ""
        typer.echo(f"  {name}: {answer['state']}{why}", err=answer["state"] == PENDING)
    if proof.shared_addresses_kept:
        typer.echo(f"  {proof.shared_addresses_kept} addresses are somebody else's too and stay with them")
    if proof.input_files:
        typer.echo("  Not touched, and they hold the person as far as they still exist:")
        for file in proof.input_files:
            typer.echo(f"    {file}")
    typer.echo(f"  Proof: {Proof.path(home, proof.token)}")
    if proof.status != ERASED:
        typer.echo(f"  Run ritorno erase {proof.customer_key} again when the destinations answer", err=True)
    return 0 if proof.status == ERASED else 1
