"""Actions that a partner does not want: what is never sent, and what follows all the same."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible, Resolution
from models.outbox.send_again import send_again
from models.outbox.values import Dead, Unanswered
from models.ticket_import.insert import import_tickets
from models.ticket_import.ticket_line import read_line
from models.triage import Statement, publish_by_hand
from models.triage.sentences import did_publish
from models.vocabulary import Action, ErasurePhase
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.erasing import PLAYER, advance, begin, held
from tests.support.harness import CLOSE_DELAY, OPERATOR, PARKING_WINDOW, PARTNER_GRACE, SLIP
from tests.support.records import Records
from tests.support.triage_actions import TriageActions

RESULTS_ONLY = "ticket_win,ticket_lost,ticket_void,ticket_refund,ticket_rollback"
HOUR = timedelta(hours=1)
ANNA = Person("anna", "the publisher is down")


@pytest.fixture
def wants(harness):
    """Set what the partner wants from now on; None: everything."""

    def change(actions: str | None) -> None:
        with harness.engine.begin() as connection:
            connection.execute(text("UPDATE operator SET wants = :wants"), {"wants": actions})

    return change


def ends(records: Records) -> list[tuple[str, str | None]]:
    return [(row.action, row.ended) for row in records.notices()]


def test_an_unwanted_result_is_never_sent_and_its_ticket_closes_silently(harness, records, wants):
    wants("ticket_update")
    harness.say("ticket_win")

    assert harness.claim() == []
    assert ends(records) == [("ticket_win", "not_wanted")]
    assert records.ticket().unfinished == 0
    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY
    harness.wait(CLOSE_DELAY)
    assert harness.close_due() == 1
    assert (records.standing(), len(records.notices())) == ("closed/won", 1)


@pytest.fixture
def behind(harness, wants):
    """A result that it does not want, behind one and its rollback that are still to be sent."""
    harness.say("ticket_win")
    wants("ticket_update")
    harness.say("ticket_rollback")
    harness.say("ticket_lost")


def test_an_unwanted_update_holds_nothing_up(harness, records, wants):
    harness.add_operator("new", announces_tickets=True)
    wants(RESULTS_ONLY)
    harness.say("ticket_reserve", operator="new", **SLIP)
    harness.deliver()
    harness.say("ticket_update", operator="new", **{**SLIP, "price": 600})

    assert harness.claim() == []
    ended = [(row.action, row.ended) for row in records.notices(operator="new")]
    assert ended == [("ticket_reserve", "delivered"), ("ticket_update", "not_wanted")]


@pytest.mark.usefixtures("behind")
def test_behind_others_it_waits_its_turn_and_its_clock_starts_then(harness, records):
    harness.wait(HOUR)
    assert harness.deliver() == [("T", "ticket_win")]
    assert ends(records)[2] == ("ticket_lost", None)
    assert records.ticket().close_due_at is None

    harness.wait(HOUR)
    assert harness.deliver() == [("T", "ticket_rollback")]

    assert ends(records)[2] == ("ticket_lost", "not_wanted")
    assert records.ticket().unfinished == 0
    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY


@pytest.mark.usefixtures("behind")
def test_what_waits_behind_unwanted_ones_goes_on(harness, records, wants):
    harness.say("ticket_rollback")
    harness.say("ticket_lost")
    wants(None)
    harness.say("ticket_rollback")
    harness.say("ticket_win")

    sent = [harness.deliver() for _ in range(3)]
    assert sent == [[("T", "ticket_win")], [("T", "ticket_rollback")], [("T", "ticket_win")]]
    assert [end for _, end in ends(records)] == [
        "delivered",
        "delivered",
        "not_wanted",
        "withdrawn",
        "not_wanted",
        "withdrawn",
        "delivered",
    ]
    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY


def test_a_rollback_follows_its_result_however_the_wishes_change(harness, records, wants):
    """A result that it took must not stay with it; of one that it never got it hears nothing."""
    harness.say("ticket_win")
    harness.deliver()
    wants("ticket_update")
    harness.say("ticket_rollback")
    assert harness.deliver() == [("T", "ticket_rollback")]
    harness.say("ticket_lost")
    wants(None)
    harness.say("ticket_rollback")

    assert harness.claim() == []
    assert ends(records)[2:] == [("ticket_lost", "not_wanted"), ("ticket_rollback", "withdrawn")]
    harness.say("ticket_win")
    assert harness.deliver() == [("T", "ticket_win")]


def test_a_call_under_way_while_the_wishes_change_counts_as_ever(harness, records, wants):
    harness.say("ticket_win")
    claim = harness.claim_one()
    wants("ticket_update")
    harness.say("ticket_rollback")
    harness.say("ticket_lost")
    harness.record(claim)
    assert records.ticket().close_due_at is None
    assert harness.deliver() == [("T", "ticket_rollback")]

    assert ends(records) == [
        ("ticket_win", "delivered"),
        ("ticket_rollback", "delivered"),
        ("ticket_lost", "not_wanted"),
    ]
    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY


def test_a_skipped_result_does_not_make_an_unwanted_one_known(harness, records, wants):
    harness.say("ticket_win")
    harness.deliver(Dead("no"))
    harness.say("ticket_rollback")
    wants("ticket_update")
    harness.say("ticket_lost")
    TriageActions(harness, records).resolve(records.notice(1).id, Resolution.SKIP_NOT_DELIVERED)
    harness.say("ticket_rollback")

    assert harness.claim() == []
    assert {end for _, end in ends(records)} == {"skipped", "withdrawn", "not_wanted"}


def test_on_hold_its_turn_comes_with_the_release(harness, records, wants):
    wants("ticket_update")
    harness.say("ticket_open")
    harness.hold()
    harness.say("ticket_win")
    harness.wait(HOUR)
    assert ends(records) == [("ticket_win", None)]

    released = harness.release_ticket()

    assert ends(records) == [("ticket_win", "not_wanted")]
    assert released.next_action is None
    assert released.close_due_at == harness.now + CLOSE_DELAY


@pytest.mark.usefixtures("behind")
def test_the_pause_after_a_call_without_an_answer_comes_before_its_clock(harness, records):
    harness.deliver()
    first = harness.claim_one()
    harness.record(first, Unanswered(timedelta(seconds=1)))
    harness.record(first)  # its success comes after all

    assert ends(records)[2] == ("ticket_lost", "not_wanted")
    assert records.ticket().close_due_at == harness.now + PARTNER_GRACE + CLOSE_DELAY


def test_it_is_not_sent_again(harness, records, wants):
    wants("ticket_update")
    harness.say("ticket_win")

    with harness.engine.begin() as connection, pytest.raises(NotPossible, match="did not want it"):
        send_again(connection, records.notice(1).id, now=harness.now)


@pytest.mark.usefixtures("behind")
def test_the_end_of_a_partnership_skips_what_waited(harness, records):
    harness.end_partnership()
    harness.end_tickets()

    assert [end for _, end in ends(records)] == ["skipped"] * 3


def test_a_success_that_waits_for_the_batch_ends_what_the_batch_left_unwanted(
    harness, records, engine, wants
):
    """E1: the notices that its partner does not want are newer than the statement that waited."""
    harness.say("ticket_win")
    claim = harness.claim_one()
    with engine.connect() as batch:
        wants("ticket_update")
        rollback, lost = harness.event("ticket_rollback"), harness.event("ticket_lost")
        harness.apply_within(batch, rollback, lost)
        with beside(lambda: harness.record(claim)) as recorded:
            waiting_sessions(engine)
            batch.commit()
            recorded.result()
    assert [end for _, end in ends(records)] == ["delivered", None, None]
    rollback_claim = harness.claim_one()
    with engine.connect() as batch:
        harness.apply_within(batch, harness.event("ticket_rollback"), harness.event("ticket_lost"))
        with beside(lambda: harness.record(rollback_claim)) as recorded:
            waiting_sessions(engine)
            batch.commit()
            recorded.result()

    assert [end for _, end in ends(records)] == [
        *("delivered", "delivered", "not_wanted"),
        *("withdrawn", "not_wanted"),
    ]
    records.check()
    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY


def test_an_imported_result_is_taken_back_and_the_next_one_is_not_wanted(harness, records, wants):
    """The partner took it in the system that it comes from, so it hears of its rollback."""
    wants("ticket_update")
    taken_at = (harness.now - HOUR).isoformat()
    resulted = {"operator": OPERATOR, "state": "resulted", "result": "won", "taken_at": taken_at}
    lines = [read_line({**resulted, "ticket_id": ticket}) for ticket in ("T", "quiet")]
    with harness.engine.begin() as connection:
        import_tickets(
            connection, lines, person=ANNA, now=harness.now, parking_window=PARKING_WINDOW
        )
    harness.say("ticket_rollback")
    assert harness.deliver() == [("T", "ticket_rollback")]
    harness.say("ticket_lost")

    assert harness.claim() == []
    assert ends(records) == [("ticket_rollback", "delivered"), ("ticket_lost", "not_wanted")]
    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY
    harness.wait(CLOSE_DELAY)
    assert harness.close_due() == 2
    assert (harness.claim(), records.standing("quiet")) == ([], "closed/won")


def by_hand(harness, action: Action) -> str:
    with harness.engine.begin() as connection:
        event = publish_by_hand(
            connection,
            OPERATOR,
            "T",
            Statement(action),
            person=ANNA,
            now=harness.now,
            window=PARKING_WINDOW,
        )
    return did_publish(event)


def test_a_person_is_told_what_of_an_event_by_hand_is_sent(harness, records, wants):
    """Neither a result that is not wanted, nor one that still waits for its turn to be that."""
    harness.say("ticket_win")
    wants("ticket_update")

    assert by_hand(harness, Action.ROLLBACK).endswith("; ticket_rollback is sent to the partner")
    assert by_hand(harness, Action.LOST).endswith("went from open to resulted/lost")
    assert ends(records)[2] == ("ticket_lost", None)
    assert [harness.deliver() for _ in range(2)] == [
        [("T", "ticket_win")],
        [("T", "ticket_rollback")],
    ]
    assert by_hand(harness, Action.ROLLBACK).endswith("went from resulted/lost to open")
    assert [end for _, end in ends(records)[2:]] == ["not_wanted", "withdrawn"]


def test_an_erasure_waits_for_what_is_not_wanted_and_then_blanks_it(harness, engine, wants):
    """Until its turn it is unfinished; what was never sent names the player as all else does."""
    harness.say("ticket_open", **{**SLIP, "player_id": PLAYER})
    harness.say("ticket_win")
    wants("ticket_update")
    harness.say("ticket_rollback")
    harness.say("ticket_lost", player_id=PLAYER)
    waiting = advance(harness, begin(harness))
    assert waiting.phase is not ErasurePhase.DONE

    while harness.deliver():
        pass
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    erasure = advance(harness, waiting.id)

    assert erasure.phase is ErasurePhase.DONE
    assert held(engine) == {}
