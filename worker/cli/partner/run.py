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
class Opening:
    """The options of `slipway partner`; the secret still in its file."""

    port: int
    host: str
    secret_file: Path
    protocol: str
    agent: str | None
    deduplicate: bool


def keep_house(opening: Opening, *, as_json: bool) -> None:
    """Be the partner until SIGINT or SIGTERM. Raises Failed when the port is taken."""
    secret = read_line(opening.secret_file, option="--secret-file")
    seamless = opening.protocol == "seamless"
    try:
        run(
            port=opening.port,
            host=opening.host,
            secret=secret,
            wallet=Wallet(secret, agent=opening.agent) if seamless else None,
            deduplicate=opening.deduplicate,
            on_ready=lambda url: remark(f"the partner listens at {url}; Ctrl-C ends it"),
            on_request=_show_json if as_json else _show,
        )
    except OSError as refusal:
        raise Failed(
            f"the partner cannot listen on {opening.host}:{opening.port} ({refusal.strerror});"
            " take another --port, or 0 for any free one"
        ) from None


def _show(entry: LedgerEntry) -> None:
    typer.echo(entry.format_line())


def _show_json(entry: LedgerEntry) -> None:
    typer.echo(json.dumps(entry.as_json(), ensure_ascii=False))
