"""Runs the simulated partner and prints what it receives."""

import json
from dataclasses import dataclass
from pathlib import Path

import typer

from producers.simulation.partner import LedgerEntry, Wallet, run
from worker.cli.errors import Failed
from worker.cli.output import remark
from worker.cli.secret_file import read_line


@dataclass(frozen=True, slots=True)
class PartnerOptions:
    """The options of `slipway partner`; the secret still in its file."""

    port: int
    host: str
    secret_file: Path
    protocol: str
    agent: str | None
    deduplicate: bool


def run_partner(options: PartnerOptions, *, as_json: bool) -> None:
    """Run the partner until SIGINT or SIGTERM. Raises Failed if the port is taken."""
    secret = read_line(options.secret_file, option="--secret-file")
    seamless = options.protocol == "seamless"
    try:
        run(
            port=options.port,
            host=options.host,
            secret=secret,
            wallet=Wallet(secret, agent=options.agent) if seamless else None,
            deduplicate=options.deduplicate,
            on_ready=lambda url: remark(f"the partner listens at {url}; Ctrl-C ends it"),
            on_request=_show_json if as_json else _show,
        )
    except OSError as refusal:
        raise Failed(
            f"the partner cannot listen on {options.host}:{options.port} ({refusal.strerror});"
            " use another --port, or 0 for any free one"
        ) from None


def _show(entry: LedgerEntry) -> None:
    typer.echo(entry.format_line())


def _show_json(entry: LedgerEntry) -> None:
    typer.echo(json.dumps(entry.as_json(), ensure_ascii=False))
