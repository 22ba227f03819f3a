"""Random lives of tickets as backends publish them, from a seed, so that a run can be repeated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from random import Random

from producers.simulation.ticket_facts import Data, TicketFactory, ticket_reference, void_data

RESULTS = ("ticket_win", "ticket_lost", "ticket_void", "ticket_refund")
PAID_AFTER = timedelta(seconds=0.2)  # sooner than the earliest result
REASONS = ("declined-upstream", "event-abandoned", "odds-error", "result-corrected")


class Plot(StrEnum):
    """The course of a life."""

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
    """One event of a life, *after* the beginning."""

    after: timedelta
    action: str
    data: Data


@dataclass(frozen=True, slots=True)
class Life:
    """The life of one ticket; it begins *starts_after* the start of the run."""

    plot: Plot
    operator: str
    ticket_id: str
    starts_after: timedelta
    steps: tuple[LifeStep, ...]


@dataclass(frozen=True, slots=True)
class StoryPace:
    """How long the steps of a life take, (minimum, maximum) in seconds.

    A rollback must come well before the end of the closing delay, or it is rejected.
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
    """Generate *count* lives at even intervals, in the order in which they begin.

    The first seven have one plot each, the others follow `SHARES`. Each begins with one of
    *begin_with* (a `ticket_reserve` is followed by `ticket_paid`) and ends with a final result. A
    seed always gives the same lives, ticket ids included: use another seed for another run on the
    same database.
    """
    rng = Random(seed)  # noqa: S311 - random lives, nothing secret
    factory = TicketFactory(rng)
    plots, weights = list(SHARES), list(SHARES.values())
    for n in range(count):
        plot = plots[n] if n < len(plots) else rng.choices(plots, weights)[0]
        facts = factory.ticket_facts(rng.choice(operators))
        yield Life(
            plot=plot,
            operator=str(facts["operator"]),
            ticket_id=str(facts["ticket_id"]),
            starts_after=timedelta(seconds=n / lives_per_second),
            steps=(
                *_beginning(begin_with[n % len(begin_with)], facts),
                *_steps(facts, _results(plot, rng), pace or StoryPace(), rng),
            ),
        )


def _results(plot: Plot, rng: Random) -> list[str]:
    """Return the results of a life in order; there is a rollback between any two."""
    match plot:
        case Plot.WIN | Plot.LOST | Plot.VOID | Plot.REFUND:
            return [f"ticket_{plot.value}"]
        case Plot.ROLLBACK_THEN_OTHER:
            return rng.sample(RESULTS, 2)
        case Plot.ROLLBACK_THEN_SAME:
            return [rng.choice(RESULTS)] * 2
        case Plot.DOUBLE_ROLLBACK:
            return rng.choices(RESULTS, k=3)


def _beginning(action: str, facts: Data) -> Iterator[LifeStep]:
    yield LifeStep(timedelta(), action, facts)
    if action == "ticket_reserve":
        yield LifeStep(PAID_AFTER, "ticket_paid", ticket_reference(facts))


def _steps(facts: Data, results: Sequence[str], pace: StoryPace, rng: Random) -> Iterator[LifeStep]:
    after = timedelta(seconds=rng.uniform(*pace.result_seconds))
    for n, result in enumerate(results):
        if n:
            after += timedelta(seconds=rng.uniform(*pace.rollback_seconds))
            yield LifeStep(
                after, "ticket_rollback", ticket_reference(facts) | {"reason": rng.choice(REASONS)}
            )
            after += timedelta(seconds=rng.uniform(*pace.next_result_seconds))
        yield LifeStep(after, result, _result_data(result, facts, rng))


def _result_data(result: str, facts: Data, rng: Random) -> Data:
    match result:
        case "ticket_void":
            return void_data(facts)
        case "ticket_refund":
            return ticket_reference(facts) | {"reason": rng.choice(REASONS)}
        case _:
            return ticket_reference(facts)
