"""`slipway simulate`: simulated tickets through the real core, with faults and a manual clock."""

from typing import Annotated

import typer

from worker.cli.help_pages import one_command
from worker.cli.options import AsJson
from worker.cli.simulate import run

_LIVES_MAX = 10_000_000


app = one_command()


@app.command(epilog="Example: slipway simulate --lives 2000 --seed 7")
def simulate(
    *,
    lives: Annotated[int, typer.Option(min=1, max=_LIVES_MAX, help="Number of tickets.")] = 2000,
    seed: Annotated[
        int, typer.Option(help="The same seed produces the same tickets and faults.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Run simulated tickets through the real apply, claim and close code, and check each.

    It uses a PostgreSQL of its own and a schedule drawn from the seed: late, duplicate and
    reordered events; processes that die between any two steps; leases that expire; lost responses;
    rollbacks around the closing time. Exit code 1 if a promise was broken; the printed seed repeats
    exactly that batch.
    """
    run.run_simulation(lives=lives, seed=seed, as_json=as_json)
