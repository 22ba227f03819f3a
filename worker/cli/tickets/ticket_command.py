"""`slipway ticket`: one ticket's story."""

from typing import Annotated

import typer

from worker.cli.options import AsJson, OneOperator

EXAMPLE = "Example: slipway ticket 1330556611374148608 --operator acme"


def ticket(
    ticket_id: Annotated[str, typer.Argument(metavar="ID", help="The ticket's id.")],
    *,
    operator: OneOperator = None,
    as_json: AsJson = False,
) -> None:
    """Tell one ticket's story: why it is not closed, and everything that happened to it.

    Exit code 1 when no such ticket is known.
    """
    from worker.cli.tickets.history import tell  # noqa: PLC0415 - as worker.cli says

    tell(ticket_id, operator=operator, as_json=as_json)
