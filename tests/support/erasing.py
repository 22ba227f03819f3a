"""Erasing a player in a test, batch by batch, as the sweep's job does."""

from pydantic import SecretStr
from sqlalchemy import Engine

from models.erasure import Erasure, ErasureStep, advance_erasure, find_erasure
from models.jobs import advance_jobs
from models.operators.interventions import Person
from models.players import erase_player
from models.vocabulary import ErasurePhase
from tests.support.every_column import columns_with
from tests.support.harness import OPERATOR, Harness

PLAYER = "pläyer-\N{SNOWMAN}-4711"
KEYS = [SecretStr("first key"), SecretStr("second key")]
STEPS_MAX = 300
ANNA = Person("anna", "a data-protection request")


def begin(
    harness: Harness, player: str = PLAYER, *, operator: str = OPERATOR, person: Person = ANNA
) -> int:
    """Start an erasure; return its number."""
    with harness.engine.begin() as connection:
        report = erase_player(
            connection, operator, player, keys=KEYS, person=person, now=harness.now
        )
    return report.erasure.id


def step(harness: Harness, erasure: int, *, limit: int = 100) -> ErasureStep:
    """Do one batch."""
    with harness.engine.begin() as connection:
        return advance_erasure(connection, erasure, now=harness.now, limit=limit)


def advance(harness: Harness, erasure: int, *, limit: int = 100) -> Erasure:
    """Do batches until it is done, or waits."""
    for _ in range(STEPS_MAX):
        done = step(harness, erasure, limit=limit)
        if done.phase is ErasurePhase.DONE or done.wait:
            return as_stored(harness.engine, erasure)
    raise AssertionError("the erasure never comes to rest")


def run_job(harness: Harness) -> None:
    """Let the sweep's jobs come to rest."""
    for _ in range(STEPS_MAX):
        with harness.engine.begin() as connection:
            advanced = advance_jobs(connection, now=harness.now, limit=100)
        if advanced is None:
            return
    raise AssertionError("the job never comes to rest")


def as_stored(engine: Engine, erasure: int) -> Erasure:
    """Return the erasure as it stands."""
    with engine.connect() as connection:
        return find_erasure(connection, erasure)


def held(engine: Engine, wanted: str = PLAYER) -> dict[str, int]:
    """Return every column that holds the id."""
    with engine.connect() as connection:
        return columns_with(connection, wanted)
