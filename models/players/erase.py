"""Erases a player: the one function that the command line, the pages and the API call (rule 25)."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import SecretStr
from sqlalchemy import Connection

from models.erasure import (
    ErasureReport,
    PlayerName,
    begin_erasure,
    note_job,
    player_fingerprints,
    report_erasure,
)
from models.jobs import Job, find_job, start_job
from models.jobs.kinds import erase_player as kind
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible
from models.platform.errors import NotFoundError


def erase_player(
    connection: Connection,
    operator: str,
    player_id: str,
    *,
    keys: Sequence[SecretStr],
    person: Person,
    now: datetime,
    key: str | None = None,
) -> ErasureReport:
    """Start the erasure of a player inside the caller's transaction; a job carries it on.

    An erasure whose job was stopped or failed goes on where it was. The record of who started it
    holds the player's fingerprint under the first of *keys* (`Settings.secret_key`), and *person*'s
    reason without the id. *key*: a client's, as in `start_job`. Raises OperatorNotFound,
    InvalidError, and NotPossible if the player is being erased already.
    """
    fingerprint = player_fingerprints(keys, operator=operator, player_id=player_id)[0]
    erasure = begin_erasure(
        connection, operator, player_id, fingerprint=fingerprint, who=person.who, now=now
    )
    running = None if erasure.job is None else _running(connection, erasure.job)
    if running is not None:
        if key is not None and (running.who, running.key) == (person.who, key):
            return report_erasure(connection, erasure.id)
        raise NotPossible(
            f"this player is being erased already: erasure {erasure.id}, job {running.id}"
        )
    without_id = Person(person.who, PlayerName(player_id).removed_from(person.why))
    arguments = {"erasure": erasure.id, "operator": operator, "player": fingerprint}
    job = start_job(connection, kind.NAME, arguments, person=without_id, now=now, key=key)
    note_job(connection, erasure.id, job.id)
    return report_erasure(connection, erasure.id)


def _running(connection: Connection, job_id: int) -> Job | None:
    try:
        job = find_job(connection, job_id)
    except NotFoundError:  # removed by retention
        return None
    return None if job.has_ended else job
