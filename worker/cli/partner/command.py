"""`slipway partner`: a simulated partner, for trying an integration."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.help_pages import one_command
from worker.cli.operators.options import Protocol
from worker.cli.options import AsJson
from worker.cli.partner import run

app = one_command()


@app.command(epilog="Example: slipway partner --port 9000 --secret-file secret.txt")
def partner(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 9000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    secret_file: Annotated[Path, typer.Option(help="The operator's secret, one line.")],
    protocol: Annotated[Protocol, typer.Option(help="Partner protocol.")] = Protocol.PAM,
    agent: Annotated[
        str | None,
        typer.Option(help="Seamless wallet: the only agent it accepts.", show_default="any"),
    ] = None,
    deduplicate: Annotated[
        bool, typer.Option("--deduplicate", help="Process each Idempotency-Key once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a simulated partner: verify every signature, answer 200, and print each request.

    Ctrl-C ends it. A seamless wallet keeps accounts, each with 10,000 at first; GET /_wallet shows
    them.
    """
    options = run.PartnerOptions(
        port=port,
        host=host,
        secret_file=secret_file,
        protocol=protocol,
        agent=agent,
        deduplicate=deduplicate,
    )
    run.run_partner(options, as_json=as_json)
