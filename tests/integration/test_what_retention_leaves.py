"""What stays once all that happened is older than the retention: two tables, no others grow."""

from datetime import datetime, timedelta

from sqlalchemy import Engine, TextClause, text
from sqlmodel import SQLModel

from models.outbox.dead_letters import Resolution
from models.outbox.values import Dead, RetryLater
from models.vocabulary import Outcome
from tests.support.harness import CLOSE_DELAY, PARKING_WINDOW, TOOK, Harness
from tests.support.plain_settings import plain_settings
from tests.support.triage_actions import TriageActions
from worker.sweep.round import Sweep

# A row for each operator, or one alone.
ONCE = {"operator", "circuit", "plot_progress", "finalized_upgrade"}
RETENTION = timedelta(days=90)
TICKETS = text("SELECT status || ' ' || ticket_id FROM ticket ORDER BY 1")
OUTCOMES = text("SELECT DISTINCT outcome FROM ticket_event ORDER BY 1")


class Sight:
    """Nothing waits to be applied."""

    def watermark(self, now: datetime) -> datetime | None:
        """All of it was, up to now."""
        return now


def lives(harness: Harness, acts: TriageActions) -> None:
    """Tickets that ended in each way, some after a failed call, a skip, a drop or a late event."""
    harness.say("ticket_rollback", "nowhere")
    harness.say("ticket_rollback", "dropped", event_id="back")
    acts.drop("back", outcome=Outcome.PARKED, ticket="dropped")
    harness.say("ticket_win", "closed")
    harness.deliver(RetryLater(TOOK))
    harness.wait(TOOK)
    harness.deliver()
    harness.say("ticket_discard", "discarded")
    harness.deliver(Dead("410"))
    notice = acts.records.notice(1, "discarded")
    acts.resolve(notice.id, Resolution.SKIP_NOT_DELIVERED)
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()
    harness.say("ticket_rollback", "closed")  # too late
    harness.end_windows()


def test_only_tombstones_and_what_people_did_stay(harness, records, engine, jobs):
    acts = TriageActions(harness, records)
    lives(harness, acts)
    harness.publish(harness.raw(b"rubbish"), harness.raw(b"more of it"))
    acts.drop_raw(records.rejected()[0].entry_id)
    jobs.run("retry_notices")
    assert asked(engine, TICKETS) == [
        *("absent dropped", "absent nowhere", "cancelled discarded", "closed closed")
    ]
    assert asked(engine, OUTCOMES) == ["applied", "rejected"]
    harness.wait(RETENTION + PARKING_WINDOW)

    sweep = Sweep(
        transaction=engine.begin,
        clock=harness.clock,
        watermark_source=Sight(),
        settings=plain_settings(sweep_batch=2),
    )
    while sweep.round().forgotten:
        pass

    left = rows(engine)
    assert {name: left.pop(name) for name in ONCE & set(left)} == dict.fromkeys(ONCE, 1)
    assert left == {"tombstone": 2, "intervention": 4}


def asked(engine: Engine, question: TextClause) -> list[str]:
    with engine.begin() as connection:
        return list(connection.execute(question).scalars())


def rows(engine: Engine) -> dict[str, int]:
    """How many there are in each table that is not empty."""
    with engine.begin() as connection:
        counts = {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()  # noqa: S608 - names of our tables
            for name in SQLModel.metadata.tables
        }
    return {name: count for name, count in counts.items() if count}
