"""Lives of tickets as backends would tell them: seeded, so that a run can be repeated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from random import Random

from producers.simulation.ticket_facts import Data, TicketFactory, named, voided

RESULTS = ("ticket_win", "ticket_lost", "ticket_void", "ticket_refund")
PAID_AFTER = timedelta(seconds=0.2)  # the least time in which a result may come is longer
REASONS = ("declined-upstream", "event-abandoned", "odds-error", "result-corrected")


class Plot(StrEnum):
    """What happens in a life."""

    WIN = "win"
    LOST = "lost"
    VOID = "void"
    REFUND = "refund"
    ROLLBACK_THEN_OTHER = "rollback-then-other-result"
    ROLLBACK_THEN_SAME = "rollback-then-same-result"
    DOUBLE_ROLLBACK = "double-rollback"


SHARES = {
    Plot.WIN: 25,
    Plot.LOST: 35,
    Plot.VOID: 8,
    Plot.REFUND: 7,
    Plot.ROLLBACK_THEN_OTHER: 15,
    Plot.ROLLBACK_THEN_SAME: 5,
    Plot.DOUBLE_ROLLBACK: 5,
}


@dataclass(frozen=True, slots=True)
class LifeStep:
    """One event of a life, *after* its beginning."""

    after: timedelta
    action: str
    data: Data


@dataclass(frozen=True, slots=True)
class Life:
    """One ticket's life: it begins *starts_after* the play does."""

    plot: Plot
    operator: str
    ticket_id: str
    starts_after: timedelta
    steps: tuple[LifeStep, ...]


@dataclass(frozen=True, slots=True)
class StoryPace:
    """How long things take in a life, (least, most) in seconds.

    A rollback has to come well before the closing delay is over, else it is rightly refused.
    """

    result_seconds: tuple[float, float] = (0.5, 4.0)
    rollback_seconds: tuple[float, float] = (0.5, 4.0)
    next_result_seconds: tuple[float, float] = (0.3, 2.0)


def stories(
    count: int,
    *,
    operators: Sequence[str],
    seed: int,
    lives_per_second: float,
    pace: StoryPace | None = None,
    begin_with: Sequence[str] = ("ticket_open",),
) -> Iterator[Life]:
    """Invent *count* lives, beginning evenly apart, in the order in which they begin.

    The first seven are one of each plot, the others by `SHARES`. Each begins with one of
    *begin_with* (a `ticket_reserve` is followed by `ticket_paid`) and ends with a result that
    stands. One seed gives the same lives, ticket ids included: take another seed for another run
    on the same database.
    """
    rng = Random(seed)  # noqa: S311 - invented lives, nothing secret
    slips = TicketFactory(rng)
    plots, weights = list(SHARES), list(SHARES.values())
    for n in range(count):
        plot = plots[n] if n < len(plots) else rng.choices(plots, weights)[0]
        slip = slips.slip(rng.choice(operators))
        yield Life(
            plot=plot,
            operator=str(slip["operator"]),
            ticket_id=str(slip["ticket_id"]),
            starts_after=timedelta(seconds=n / lives_per_second),
            steps=(
                *_beginning(begin_with[n % len(begin_with)], slip),
                *_steps(slip, _results(plot, rng), pace or StoryPace(), rng),
            ),
        )


def _results(plot: Plot, rng: Random) -> list[str]:
    """Return the results of a life in their order; between two of them lies a rollback."""
    match plot:
        case Plot.WIN | Plot.LOST | Plot.VOID | Plot.REFUND:
            return [f"ticket_{plot.value}"]
        case Plot.ROLLBACK_THEN_OTHER:
            return rng.sample(RESULTS, 2)
        case Plot.ROLLBACK_THEN_SAME:
            return [rng.choice(RESULTS)] * 2
        case Plot.DOUBLE_ROLLBACK:
            return rng.choices(RESULTS, k=3)


def _beginning(action: str, slip: Data) -> Iterator[LifeStep]:
    yield LifeStep(timedelta(), action, slip)
    if action == "ticket_reserve":
        yield LifeStep(PAID_AFTER, "ticket_paid", named(slip))


def _steps(slip: Data, results: Sequence[str], pace: StoryPace, rng: Random) -> Iterator[LifeStep]:
    after = timedelta(seconds=rng.uniform(*pace.result_seconds))
    for n, result in enumerate(results):
        if n:
            after += timedelta(seconds=rng.uniform(*pace.rollback_seconds))
            yield LifeStep(after, "ticket_rollback", named(slip) | {"reason": rng.choice(REASONS)})
            after += timedelta(seconds=rng.uniform(*pace.next_result_seconds))
        yield LifeStep(after, result, _result_data(result, slip, rng))


def _result_data(result: str, slip: Data, rng: Random) -> Data:
    match result:
        case "ticket_void":
            return voided(slip)
        case "ticket_refund":
            return named(slip) | {"reason": rng.choice(REASONS)}
        case _:
            return named(slip)
