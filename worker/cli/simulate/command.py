"""`slipway simulate`: lives through the real core, with faults, time moved by hand."""

from typing import Annotated

import typer

from worker.cli.help_pages import one_command
from worker.cli.options import AsJson
from worker.cli.simulate import rehearsal

_LIVES_MAX = 10_000_000


app = one_command()


@app.command(epilog="Example: slipway simulate --lives 2000 --seed 7")
def simulate(
    *,
    lives: Annotated[int, typer.Option(min=1, max=_LIVES_MAX, help="How many lives.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed plays the same lives and faults.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Play LIVES of tickets through the real apply, claim and close code, and judge each.

    On a PostgreSQL of its own, with a schedule drawn from SEED: events late, doubled and out of
    order; processes that die between any two steps; leases that run out; answers that get lost;
    rollbacks around the closing time. Exit code 1 if a promise was broken; the seed that is
    printed with it repeats exactly that batch.
    """
    rehearsal.play(lives=lives, seed=seed, as_json=as_json)
