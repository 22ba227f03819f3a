"""Rehearse many lives in batches; every batch has its own seed and can be repeated."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from sqlalchemy import Engine, text

from producers.simulation.rehearsal.lives import random_lives
from producers.simulation.rehearsal.schedule import Schedule
from producers.simulation.rehearsal.verdict import check_rehearsal
from producers.simulation.rehearsal.world import OWN_TIMEOUT, World

BATCH_LIVES = 40  # lives that share a world: enough to interfere with each other
FAULT_FACTORS = (0.3, 1.0, 3.0, 8.0)  # from few faults to many
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
REDIS_AHEAD = (timedelta(), timedelta(), timedelta(seconds=3), timedelta(hours=1))
APART = timedelta(days=60)  # between the worlds of two batches, which share a database

ADD_OPERATOR = text("""
    INSERT INTO operator (code, protocol, url, secret, announces_tickets, timeout)
    VALUES (:code, 'pam', 'http://partner.invalid', 'none', :announces, :timeout) RETURNING id""")


@dataclass(slots=True)
class RehearsalReport:
    """Counts of a rehearsal. *violations*: broken promises, with the batch's seed."""

    lives: int = 0
    published: int = 0
    calls: int = 0
    repeats: int = 0
    faults: int = 0
    contested: int = 0
    sent_again: int = 0  # tickets, by a person
    kinds: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    failing_seed: int | None = None


def rehearse(
    engine: Engine,
    *,
    count: int,
    seed: int,
    on_batch: Callable[[RehearsalReport], None] = lambda _report: None,
) -> RehearsalReport:
    """Play *count* lives on the database of *engine*; stop at the first broken promise.

    The schema must exist; the operators and tickets it creates remain. The batch that failed is
    the first one of `rehearse(count=BATCH, seed=report.failing_seed)`.
    """
    report = RehearsalReport()
    batch = 0
    while report.lives < count and not report.violations:
        size = min(BATCH_LIVES, count - report.lives)
        _batch(engine, report, size=size, seed=seed + batch, begin=BEGIN + batch * APART)
        on_batch(report)
        batch += 1
    return report


def _batch(
    engine: Engine, report: RehearsalReport, *, size: int, seed: int, begin: datetime
) -> None:
    rng = Random(seed)  # noqa: S311 - random lives, nothing secret
    codes = [f"rehearsed-{seed}", f"rehearsed-{seed}-b"]
    announcing = f"rehearsed-{seed}-announces"
    world = World(
        engine,
        _operators(engine, [*codes, announcing], announcing=announcing, slow=codes[1]),
        begin,
        redis_ahead=rng.choice(REDIS_AHEAD),
    )
    played = list(random_lives(size, rng=rng, begin=begin, operators=codes, announcing=announcing))
    schedule = Schedule(world, rng, played, fault_factor=rng.choice(FAULT_FACTORS))
    violations: list[str] = []
    try:
        schedule.run()
    except Exception as error:  # noqa: BLE001 - any error must be reported with the seed
        violations.append(f"{type(error).__name__}: {error}")
    verdict = check_rehearsal(world, played, contested=frozenset(schedule.contested))
    violations += verdict.violations
    report.lives += size
    report.published += len(world.published)
    report.calls += len(world.partner.ledger)
    report.repeats += verdict.partner.repeats
    report.faults += schedule.faults
    report.contested += len(schedule.contested)
    report.sent_again += schedule.sent_again
    report.kinds.update(verdict.lives)
    if violations:
        report.failing_seed = seed
        report.violations += [f"seed {seed}: {violation}" for violation in violations]


def _operators(engine: Engine, codes: list[str], *, announcing: str, slow: str) -> list[int]:
    with engine.begin() as connection:
        return [
            connection.execute(
                ADD_OPERATOR,
                {
                    "code": code,
                    "announces": code == announcing,
                    "timeout": OWN_TIMEOUT if code == slow else None,
                },
            ).scalar_one()
            for code in codes
        ]
