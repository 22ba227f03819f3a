"""Rule 25 beside what else people do: jobs that name the player, events that are tried again."""

import pytest

from models.erasure.advance import RECHECK
from models.jobs import start_job, stop_job
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible
from models.triage.events import drop_events, retry_events
from models.vocabulary import ErasurePhase, Outcome
from tests.support.erasing import ANNA, PLAYER, advance, as_stored, begin, held, run_job
from tests.support.harness import PARKING_WINDOW, SLIP

UNDER_WAY = {"erasure.player_id"}


def test_it_waits_for_a_job_that_needs_the_player_s_name(harness, engine):
    """What it was asked to look for is blanked when it has ended, why it was started at once."""
    with engine.begin() as connection:
        job = start_job(
            connection,
            "retry_notices",
            {"answer": PLAYER},
            person=Person("bert", f"{PLAYER} phoned"),
            now=harness.now + RECHECK,
        )
    erasure = begin(harness)

    assert advance(harness, erasure).phase is ErasurePhase.WAITING
    assert set(held(engine)) == UNDER_WAY | {"job.arguments"}
    with engine.begin() as connection:
        stop_job(connection, job.id, person=ANNA, now=harness.now)
    harness.wait(RECHECK)
    run_job(harness)
    assert as_stored(engine, erasure).phase is ErasurePhase.DONE
    assert held(engine) == {}


def test_two_erasures_that_name_each_other_s_player_both_end(harness, engine):
    both = [
        begin(harness, player, person=Person("anna", f"like that of {other}"))
        for player, other in ((PLAYER, "somebody"), ("somebody", PLAYER))
    ]
    for _ in range(3):
        run_job(harness)
        harness.wait(RECHECK)

    assert {as_stored(engine, erasure).phase for erasure in both} == {ErasurePhase.DONE}
    assert held(engine) == held(engine, "somebody") == {}


def test_an_erased_event_cannot_be_retried_when_its_ticket_opens_after_all(
    harness, engine, records
):
    """Only its money is known, so what would be sent to the partner would be false (rule 25)."""
    harness.say("ticket_win", "A", event_id="early", sequence=2, net_payout=7, nickname=PLAYER)
    row = records.ticket("A").id
    retried = {"now": harness.now, "window": PARKING_WINDOW, "person": ANNA}
    with engine.begin() as connection:
        drop_events(connection, row, ["early"], outcome=Outcome.PARKED, **retried)
    advance(harness, begin(harness))
    assert records.ticket("A").erased_at is not None
    harness.say("ticket_open", "A", event_id="open", sequence=1, **SLIP)

    with engine.begin() as connection, pytest.raises(NotPossible, match="erased with the player"):
        retry_events(connection, row, ["early"], outcome=Outcome.REJECTED, **retried)
    harness.say("ticket_win", "A", event_id="again", sequence=2, net_payout=7)
    assert records.standing("A") == "resulted/won"
