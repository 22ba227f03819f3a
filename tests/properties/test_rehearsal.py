"""A seeded schedule of everything at once; `slipway simulate` runs the same at any length."""

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from models.database.engine import open_engine
from models.notices import pam
from models.notices.short_body import WHOLE_BODY
from models.vocabulary import Action
from producers.simulation.rehearsal.rehearse import BATCH_LIVES, rehearse
from tests.support import databases
from tests.support.outgoing_bodies import in_contract
from tests.support.searches import examples
from worker.local.servers import Servers

SEED = 20_261_120
SENT = text(f"""
    SELECT DISTINCT {WHOLE_BODY} AS body
      FROM notice n JOIN ticket t ON t.id = n.ticket JOIN operator o ON o.id = n.operator""")  # noqa: S608 - a constant
LIVES = 400  # of each part; each batch of them has its own seed
PARTS = examples(6)


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("part", range(PARTS))
def test_hundreds_of_lives_with_faults_break_no_promise(engine: Engine, part: int):
    lives = LIVES

    report = rehearse(engine, count=lives, seed=SEED + part * lives // BATCH_LIVES)

    assert report.violations == []
    assert report.lives == lives
    assert report.faults > 100
    assert report.repeats > 10
    assert report.contested > 1
    assert report.sent_again > 20
    bodies = bodies_of(engine)
    assert [body for body in bodies if not in_contract(body)] == []
    assert {json.loads(body)["action"] for body in bodies} == {*pam.FIELDS} - {Action.UPDATE}


def bodies_of(engine: Engine) -> list[str]:
    """Every notice of every life."""
    with engine.connect() as connection:
        return list(connection.execute(SENT).scalars())


def test_the_same_seed_plays_the_same_lives(
    engine: Engine, servers: Servers, template: str, database_names: Iterator[str]
):
    name = next(database_names)
    other = open_engine(
        databases.create(servers.database_url, name, template=template), application_name="tests"
    )

    once = rehearse(engine, count=BATCH_LIVES, seed=7)
    again = rehearse(other, count=BATCH_LIVES, seed=7)

    other.dispose()
    databases.drop(servers.database_url, name)
    assert once == again
    assert once.violations == []
