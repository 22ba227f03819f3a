"""Rehearse many lives, a batch at a time; every batch has a seed of its own and can be repeated."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from sqlalchemy import Engine, text

from producers.simulation.rehearsal.lives import lives
from producers.simulation.rehearsal.schedule import Schedule
from producers.simulation.rehearsal.verdict import judge_rehearsal
from producers.simulation.rehearsal.world import World

BATCH = 40  # lives that share a world: enough to get in each other's way
TEMPERS = (0.3, 1.0, 3.0, 8.0)  # from a quiet day to a bad one
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
REDIS_AHEAD = (timedelta(), timedelta(), timedelta(seconds=3), timedelta(hours=1))
APART = timedelta(days=60)  # between the worlds of two batches, which share a database

ADD_OPERATOR = text("""
    INSERT INTO operator (code, protocol, url, secret, announces_tickets)
    VALUES (:code, 'pam', 'http://partner.invalid', 'none', :announces) RETURNING id""")


@dataclass(slots=True)
class RehearsalReport:
    """What was rehearsed and what was found. *words*: broken promises, with the batch's seed."""

    lives: int = 0
    published: int = 0
    calls: int = 0
    repeats: int = 0
    faults: int = 0
    contested: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    words: list[str] = field(default_factory=list)
    failing_seed: int | None = None


def rehearse(
    engine: Engine,
    *,
    count: int,
    seed: int,
    on_batch: Callable[[RehearsalReport], None] = lambda _report: None,
) -> RehearsalReport:
    """Play *count* lives on the database behind *engine*; stop at the first broken promise.

    The schema must be there; the operators and tickets it makes stay. The batch that failed is
    the first one of `rehearse(count=BATCH, seed=report.failing_seed)`.
    """
    report = RehearsalReport()
    batch = 0
    while report.lives < count and not report.words:
        size = min(BATCH, count - report.lives)
        _batch(engine, report, size=size, seed=seed + batch, begin=BEGIN + batch * APART)
        on_batch(report)
        batch += 1
    return report


def _batch(
    engine: Engine, report: RehearsalReport, *, size: int, seed: int, begin: datetime
) -> None:
    rng = Random(seed)  # noqa: S311 - invented lives, nothing secret
    codes = [f"rehearsed-{seed}", f"rehearsed-{seed}-b"]
    announcing = f"rehearsed-{seed}-announces"
    world = World(
        engine,
        _operators(engine, [*codes, announcing], announcing),
        begin,
        redis_ahead=rng.choice(REDIS_AHEAD),
    )
    played = list(lives(size, rng=rng, begin=begin, operators=codes, announcing=announcing))
    schedule = Schedule(world, rng, played, temper=rng.choice(TEMPERS))
    words: list[str] = []
    try:
        schedule.run()
    except Exception as error:  # noqa: BLE001 - whatever broke, the seed must be told with it
        words.append(f"{type(error).__name__}: {error}")
    judgement = judge_rehearsal(world, played, contested=frozenset(schedule.contested))
    words += judgement.words
    report.lives += size
    report.published += len(world.published)
    report.calls += len(world.partner.ledger)
    report.repeats += judgement.verdict.repeats
    report.faults += schedule.faults
    report.contested += len(schedule.contested)
    report.kinds.update(judgement.lives)
    if words:
        report.failing_seed = seed
        report.words += [f"seed {seed}: {one}" for one in words]


def _operators(engine: Engine, codes: list[str], announcing: str) -> list[int]:
    with engine.begin() as connection:
        return [
            connection.execute(
                ADD_OPERATOR, {"code": code, "announces": code == announcing}
            ).scalar_one()
            for code in codes
        ]
