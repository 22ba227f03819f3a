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
    protocol: Annotated[Protocol, typer.Option(help="What it speaks.")] = Protocol.PAM,
    agent: Annotated[
        str | None, typer.Option(help="Seamless: the only agent it knows.", show_default="any")
    ] = None,
    deduplicate: Annotated[
        bool, typer.Option("--deduplicate", help="Act upon each Idempotency-Key once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Be a partner: verify every signature, answer 200, and print each request, until Ctrl-C.

    A seamless one keeps accounts: everybody has 10,000 to begin with; GET /_wallet shows them.
    """
    opening = run.Opening(
        port=port,
        host=host,
        secret_file=secret_file,
        protocol=protocol,
        agent=agent,
        deduplicate=deduplicate,
    )
    run.keep_house(opening, as_json=as_json)
